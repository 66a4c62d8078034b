//! The dashboards: complete, explained, and free of the Grafana they were made in.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::files::{text, texts, yaml};
use crate::metrics::declared;
use crate::promql;

const OVERVIEW: &str = "grafana/dashboards/overview.json";
const OPERATIONS: &str = "grafana/dashboards/operations.json";

pub(crate) fn dashboards() -> Vec<Value> {
    let read =
        |path| serde_json::from_str(&text(path)).unwrap_or_else(|error| panic!("{path}: {error}"));
    [OVERVIEW, OPERATIONS].map(read).into()
}

fn list<'a>(value: &'a Value, pointer: &str) -> &'a [Value] {
    value.pointer(pointer).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

/// Without the rows, which only carry a title.
fn panels(dashboard: &Value) -> Vec<&Value> {
    list(dashboard, "/panels").iter().filter(|panel| panel["type"] != "row").collect()
}

/// The expressions of one row, with the panel they belong to.
pub(crate) fn expressions_of(dashboard: &Value, row: &str) -> Vec<(String, String)> {
    let after = list(dashboard, "/panels").iter().skip_while(|panel| panel["title"] != row).skip(1);
    let panels = after.take_while(|panel| panel["type"] != "row");
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    panels
        .flat_map(|panel| list(panel, "/targets").iter().map(move |query| (panel, query)))
        .map(|(panel, query)| (text(&panel["title"]), text(&query["expr"])))
        .collect()
}

/// All expressions, with the panel or the annotation they belong to.
pub(crate) fn expressions(dashboard: &Value) -> Vec<(String, String)> {
    let title = |value: &Value| value.as_str().unwrap_or("without a title").to_owned();
    let queries = panels(dashboard).into_iter().flat_map(|panel| {
        list(panel, "/targets").iter().map(move |query| (title(&panel["title"]), query))
    });
    let notes = list(dashboard, "/annotations/list").iter();
    let notes =
        notes.filter(|note| note["expr"].is_string()).map(|note| (title(&note["name"]), note));
    queries
        .chain(notes)
        .map(|(title, query)| (title, query["expr"].as_str().expect("a query").to_owned()))
        .collect()
}

#[test]
fn every_expression_names_what_exists_and_obeys_the_variables() {
    for (title, expression) in dashboards().iter().flat_map(expressions) {
        promql::check(&expression);
        let named = promql::read(&expression);
        // Alerts keep the labels that their rule leaves them.
        for metric in named.metrics.iter().filter(|name| *name != "ALERTS") {
            for label in ["job", "instance"] {
                let narrowed = named.matched.contains(&(metric.clone(), label.to_owned()));
                assert!(narrowed, "{title}: {metric} is not narrowed by ${label}");
            }
        }
    }
}

#[test]
fn every_metric_is_shown() {
    let shown: BTreeSet<String> = dashboards()
        .iter()
        .flat_map(expressions)
        .flat_map(|(_, expression)| promql::read(&expression).metrics)
        .map(|name| promql::base(&name).map_or(name.as_str(), |(base, _)| base).to_owned())
        .collect();
    for name in declared().keys() {
        assert!(shown.contains(*name), "{name} is on no panel");
    }
}

#[test]
fn legends_name_labels_that_remain() {
    for panel in dashboards().iter().flat_map(panels) {
        for query in list(panel, "/targets") {
            let named = promql::read(query["expr"].as_str().unwrap());
            let legend = query["legendFormat"].as_str().unwrap();
            assert!(!legend.is_empty(), "{}: a query without a legend", panel["title"]);
            let of_the_metrics = named.metrics.iter().flat_map(|name| promql::labels(name));
            let remaining: BTreeSet<String> =
                if named.grouped.is_empty() { of_the_metrics.collect() } else { named.grouped };
            for label in legend.split("{{").skip(1) {
                let (label, _) = label.split_once("}}").expect("closed");
                assert!(remaining.contains(label), "{}: {{{{{label}}}}}", panel["title"]);
            }
        }
    }
}

#[test]
fn every_panel_has_a_unit_and_an_explanation() {
    for panel in dashboards().iter().flat_map(panels) {
        let title = panel["title"].as_str().expect("a title");
        let unit = panel.pointer("/fieldConfig/defaults/unit").and_then(Value::as_str);
        assert!(unit.is_some_and(|unit| !unit.is_empty()), "{title}: no unit");
        let description = panel["description"].as_str().unwrap_or_default();
        assert!(description.len() > 30 && description.ends_with('.'), "{title}: {description:?}");
        assert!(!list(panel, "/targets").is_empty(), "{title}: shows nothing");
        let steps = list(panel, "/fieldConfig/defaults/thresholds/steps");
        let bounds: Vec<f64> =
            steps.iter().skip(1).filter_map(|step| step["value"].as_f64()).collect();
        assert_eq!(
            bounds.len() + 1,
            steps.len(),
            "{title}: the first threshold alone has no bound"
        );
        assert!(bounds.is_sorted(), "{title}: {bounds:?}");
    }
}

#[test]
fn panels_do_not_overlap() {
    for dashboard in dashboards() {
        let mut taken = BTreeSet::new();
        let mut ids = BTreeSet::new();
        for panel in list(&dashboard, "/panels") {
            assert!(ids.insert(panel["id"].as_u64().expect("an id")), "{}: id", panel["title"]);
            let [x, y, w, h] =
                ["x", "y", "w", "h"].map(|side| panel["gridPos"][side].as_u64().unwrap());
            assert!(x + w <= 24, "{}: wider than the page", panel["title"]);
            for cell in (x..x + w).flat_map(|column| (y..y + h).map(move |line| (column, line))) {
                assert!(taken.insert(cell), "{}: lies over another panel", panel["title"]);
            }
        }
    }
}

#[test]
fn no_data_source_is_hard_coded() {
    let variables = [
        vec!["datasource", "job", "instance", "readme"],
        vec!["datasource", "job", "instance", "target", "topic", "readme"],
    ];
    let mut uids = BTreeSet::new();
    for (dashboard, variables) in dashboards().iter().zip(variables) {
        let mut found = Vec::new();
        data_sources(dashboard, &mut found);
        assert!(found.len() > 20, "{found:?}");
        for uid in found {
            assert!(["${datasource}", "-- Grafana --"].contains(&uid.as_str()), "{uid}");
        }
        let names = list(dashboard, "/templating/list").iter();
        let names: Vec<_> = names.filter_map(|variable| variable["name"].as_str()).collect();
        assert_eq!(names, variables);
        assert!(dashboard["id"].is_null(), "the id belongs to one Grafana's database");
        assert!(uids.insert(dashboard["uid"].as_str().unwrap().to_owned()));
    }
}

#[test]
fn every_question_of_the_overview_has_its_row() {
    let [overview, _] = &dashboards()[..] else { panic!("two dashboards") };
    let rows = list(overview, "/panels").iter().filter(|panel| panel["type"] == "row");
    let rows: Vec<_> = rows.filter_map(|row| row["title"].as_str()).collect();
    let questions = ["Is it flowing?", "How late?", "What is wrong?", "How near the limit?"];
    assert_eq!(rows[1..], questions);
    let wrong = panels(overview).into_iter().filter(|panel| !list(panel, "/links").is_empty());
    assert!(wrong.count() > 10, "panels about trouble link to its remedy");
}

#[test]
fn links_lead_somewhere() {
    let mut linked = BTreeSet::new();
    for dashboard in dashboards() {
        let panels = panels(&dashboard);
        let links = panels.iter().flat_map(|panel| list(panel, "/links"));
        for link in links.chain(list(&dashboard, "/links")) {
            let url = link["url"].as_str().unwrap();
            if let Some(uid) = url.strip_prefix("/d/") {
                assert!(dashboards().iter().any(|it| it["uid"] == uid), "{url}");
                continue;
            }
            let anchor = url.strip_prefix("${readme}#").unwrap_or_else(|| panic!("{url}"));
            assert!(sections().iter().any(|title| anchor_of(title) == anchor), "{url}");
            linked.insert(anchor.to_owned());
        }
        let readme = list(&dashboard, "/templating/list").iter().find(|it| it["name"] == "readme");
        let place = readme.unwrap()["current"]["value"].as_str().unwrap();
        let grafana = &yaml("docker-compose.yml")["services"]["grafana"];
        let mount = format!("./README.md:/usr/share/grafana{place}:ro");
        assert!(texts(&grafana["volumes"]).contains(&mount.as_str()), "{mount}");
    }
    assert!(linked.len() >= 4, "{linked:?}");
}

/// The titles of the README's sections.
pub(crate) fn sections() -> Vec<String> {
    text("README.md")
        .lines()
        .filter_map(|line| line.strip_prefix("## ").map(str::to_owned))
        .collect()
}

/// As they are linked to.
fn anchor_of(title: &str) -> String {
    let kept = title.chars().filter(|c| c.is_alphanumeric() || *c == ' ' || *c == '-');
    kept.collect::<String>().to_lowercase().replace(' ', "-")
}

fn data_sources(value: &Value, found: &mut Vec<String>) {
    if let Some(uid) = value.pointer("/datasource/uid").and_then(Value::as_str) {
        found.push(uid.to_owned());
    }
    let inner: Vec<&Value> = match value {
        Value::Array(items) => items.iter().collect(),
        Value::Object(entries) => entries.values().collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Vec::new(),
    };
    for value in inner {
        data_sources(value, found);
    }
}

#[test]
fn grafana_finds_the_dashboard_and_its_data() {
    let grafana = &yaml("docker-compose.yml")["services"]["grafana"];
    let mounts = texts(&grafana["volumes"]);
    let provider = yaml("grafana/provisioning/dashboards/ldsink.yml");
    let folder = provider.pointer("/providers/0/options/path").and_then(Value::as_str).unwrap();
    assert!(mounts.contains(&format!("./grafana/dashboards:{folder}:ro").as_str()), "{mounts:?}");
    let home = grafana["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"].as_str();
    assert_eq!(home, Some(format!("{folder}/overview.json").as_str()));

    let sources = yaml("grafana/provisioning/datasources/prometheus.yml");
    let source = &sources["datasources"][0];
    assert_eq!(source["type"], "prometheus");
    assert!(source["uid"].is_null(), "the dashboard must not come to rely on it");
    assert_eq!(source["url"], "${PROMETHEUS_URL}");
    assert_eq!(grafana["environment"]["PROMETHEUS_URL"], "http://prometheus:9090");
    let scraped = &yaml("config/compose/prometheus.yml")["global"]["scrape_interval"];
    assert_eq!(&source["jsonData"]["timeInterval"], scraped);
}
