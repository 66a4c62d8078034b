//! The dashboard: complete, explained, and free of the Grafana it was made in.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::files::{text, texts, yaml};
use crate::metrics::declared;
use crate::promql;

const DASHBOARD: &str = "grafana/dashboards/ldsink.json";

fn dashboard() -> Value {
    serde_json::from_str(&text(DASHBOARD)).unwrap_or_else(|error| panic!("{DASHBOARD}: {error}"))
}

fn list<'a>(value: &'a Value, pointer: &str) -> &'a [Value] {
    value.pointer(pointer).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

/// Without the rows, which only carry a title.
fn panels(dashboard: &Value) -> Vec<&Value> {
    list(dashboard, "/panels").iter().filter(|panel| panel["type"] != "row").collect()
}

/// All expressions, with the panel or the annotation they belong to.
fn expressions(dashboard: &Value) -> Vec<(String, String)> {
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
    let dashboard = dashboard();
    for (title, expression) in expressions(&dashboard) {
        promql::check(&expression);
        let named = promql::read(&expression);
        for metric in &named.metrics {
            for label in ["job", "instance"] {
                let narrowed = named.matched.contains(&(metric.clone(), label.to_owned()));
                assert!(narrowed, "{title}: {metric} is not narrowed by ${label}");
            }
        }
    }
}

#[test]
fn every_metric_is_shown() {
    let dashboard = dashboard();
    let shown: BTreeSet<String> = expressions(&dashboard)
        .iter()
        .flat_map(|(_, expression)| promql::read(expression).metrics)
        .map(|name| promql::base(&name).map_or(name.as_str(), |(base, _)| base).to_owned())
        .collect();
    for name in declared().keys() {
        assert!(shown.contains(*name), "{name} is on no panel");
    }
}

#[test]
fn legends_name_labels_that_remain() {
    for panel in panels(&dashboard()) {
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
    for panel in panels(&dashboard()) {
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
    let dashboard = dashboard();
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

#[test]
fn no_data_source_is_hard_coded() {
    let dashboard = dashboard();
    let mut found = Vec::new();
    data_sources(&dashboard, &mut found);
    assert!(found.len() > 20, "{found:?}");
    for uid in found {
        assert!(["${datasource}", "-- Grafana --"].contains(&uid.as_str()), "{uid}");
    }
    let variables = list(&dashboard, "/templating/list").iter();
    let names: Vec<_> = variables.filter_map(|variable| variable["name"].as_str()).collect();
    assert_eq!(names, ["datasource", "job", "instance"]);
    assert!(dashboard["id"].is_null(), "the id belongs to one Grafana's database");
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
    assert_eq!(home, Some(format!("{folder}/ldsink.json").as_str()));

    let sources = yaml("grafana/provisioning/datasources/prometheus.yml");
    let source = &sources["datasources"][0];
    assert_eq!(source["type"], "prometheus");
    assert!(source["uid"].is_null(), "the dashboard must not come to rely on it");
    assert_eq!(source["url"], "${PROMETHEUS_URL}");
    assert_eq!(grafana["environment"]["PROMETHEUS_URL"], "http://prometheus:9090");
    let scraped = &yaml("config/compose/prometheus.yml")["global"]["scrape_interval"];
    assert_eq!(&source["jsonData"]["timeInterval"], scraped);
}
