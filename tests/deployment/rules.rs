//! Prometheus: what it scrapes, and the alert rules.

use serde_json::Value;

use crate::dashboard::sections;
use crate::files::{path, texts, yaml};
use crate::promql;

const RULES: &str = "grafana/alerts/ldsink.yml";

#[test]
fn every_alert_names_what_exists_and_says_what_to_do() {
    let rules = yaml(RULES);
    let groups = rules["groups"].as_array().expect("groups");
    let rules: Vec<&Value> = groups.iter().flat_map(|it| it["rules"].as_array().unwrap()).collect();
    assert!(!rules.is_empty());
    for rule in rules {
        let name = rule["alert"].as_str().expect("an alert has a name");
        promql::check(rule["expr"].as_str().expect(name));
        let severity = rule["labels"]["severity"].as_str().expect(name);
        assert!(["critical", "warning"].contains(&severity), "{name}: {severity}");
        for text in ["summary", "description"] {
            assert!(rule["annotations"][text].is_string(), "{name}: no {text}");
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
