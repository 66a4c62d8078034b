//! Prometheus: what it scrapes, and the alert rules.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::dashboard::sections;
use crate::files::{path, text, texts, yaml};
use crate::promql;
use crate::support::prometheus::promtool;

pub(crate) const RULES: &str = "grafana/alerts/ldsink.yml";

/// All rules, of all groups.
pub(crate) fn rules() -> Vec<Value> {
    let rules = yaml(RULES);
    let groups = rules["groups"].as_array().expect("groups");
    groups.iter().flat_map(|group| group["rules"].as_array().unwrap().clone()).collect()
}

#[test]
fn every_alert_names_what_exists_and_says_what_to_do() {
    let rules = rules();
    assert!(!rules.is_empty());
    for rule in &rules {
        let name = rule["alert"].as_str().expect("an alert has a name");
        promql::check(rule["expr"].as_str().expect(name));
        let severity = rule["labels"]["severity"].as_str().expect(name);
        assert!(["critical", "warning"].contains(&severity), "{name}: {severity}");
        for part in ["summary", "description"] {
            assert!(rule["annotations"][part].is_string(), "{name}: no {part}");
        }
        let runbook = rule["annotations"]["runbook"].as_str().expect(name);
        assert!(runbook.starts_with("1. ") && runbook.contains(" 2. "), "{name}: {runbook}");
        let section = rule["annotations"]["readme"].as_str().expect(name).to_owned();
        assert!(sections().contains(&section), "{name}: the README has no section {section}");
        let named = promql::read(rule["expr"].as_str().unwrap());
        for label in rule["annotations"]["summary"].as_str().unwrap().split("$labels.").skip(1) {
            let label: String = label.chars().take_while(char::is_ascii_alphanumeric).collect();
            let of_up = named.metrics.contains("up") && label == "instance";
            assert!(
                of_up || named.grouped.contains(&label) || named.grouped.is_empty(),
                "{name}: {label}"
            );
        }
    }
}

#[test]
fn the_readme_lists_every_alert() {
    let readme = text("README.md");
    let (_, table) = readme.split_once("| alert | fires when |").expect("a table");
    let (table, _) = table.split_once("\n\n").unwrap();
    let listed = table.split("`Ldsink").skip(1).map(|rest| rest.split('`').next().unwrap());
    let listed: BTreeSet<String> = listed.map(|name| format!("Ldsink{name}")).collect();
    let all = rules();
    let all = all.iter().map(|rule| rule["alert"].as_str().unwrap().to_owned());
    assert_eq!(listed, all.collect());
}

#[test]
fn prometheus_finds_ldsink_and_the_rules() {
    let services = &yaml("docker-compose.yml")["services"];
    let prometheus = yaml("config/compose/prometheus.yml");
    let scraped = &prometheus["scrape_configs"][0];
    assert_eq!(scraped["job_name"], "ldsink", "the alert LdsinkDown is about this job");
    assert_eq!(texts(&scraped["static_configs"][0]["targets"]), ["ldsink:9464"]);
    let owner = &services["sandbox"];
    assert_eq!(texts(&owner["networks"]["default"]["aliases"]), ["ldsink"]);
    assert!(texts(&owner["ports"]).contains(&"127.0.0.1:9464:9464"));

    let mounts = texts(&services["prometheus"]["volumes"]);
    assert!(mounts.contains(&"./grafana/alerts:/etc/prometheus/rules:ro"), "{mounts:?}");
    assert_eq!(texts(&prometheus["rule_files"]), ["/etc/prometheus/rules/*.yml"]);
    assert!(path(RULES).exists());
}

#[test]
fn prometheus_takes_the_rules_and_its_configuration() {
    let said = promtool(&["check", "rules", RULES], &path("."));
    assert!(said.contains(&format!("{} rules found", rules().len())), "{said}");
    // The configuration of the compose environment, with the rules where they are here.
    let mounted = "/etc/prometheus/rules/*.yml";
    let config = text("config/compose/prometheus.yml");
    assert!(config.contains(mounted), "{config}");
    let here = config.replace(mounted, path(RULES).to_str().unwrap());
    let directory = tempfile::TempDir::new().unwrap();
    std::fs::write(directory.path().join("prometheus.yml"), here).unwrap();
    let said = promtool(&["check", "config", "prometheus.yml"], directory.path());
    assert!(said.contains("1 rule files found"), "{said}");
}

#[test]
fn the_rules_fire_and_clear_in_their_time() {
    let tests = "tests/deployment/alerts.test.yml";
    promtool(&["test", "rules", tests], &path("."));
    let tests = text(tests);
    // The live test shortens these times, so they are shown here, but for those that are as others are.
    for rule in rules().iter().filter(|rule| rule["for"].is_string()) {
        let name = rule["alert"].as_str().unwrap();
        let same = ["LdsinkLaneHalted", "LdsinkRouteHalted", "LdsinkWouldNotCount"];
        assert!(tests.contains(name) || same.contains(&name), "{name} is not tested");
    }
}
