//! The policy of a configuration, and how findings are worded.

use super::policy::Rights;
use super::report::{Chapter, Grade, Report};
use crate::config::Config;
use serde_json::{Value, json};

fn policy(routes: &str, more: &str) -> (Value, Vec<String>) {
    let text = format!(
        "kafka: {{ bootstrap_servers: \"localhost:1\", group_id: g }}\n\
         targets:\n  p: {{ access_token: api-1, project: shop, environment: prod }}\n  \
         s: {{ access_token: api-1, project: shop, environment: test }}\n\
         routes:\n{routes}{more}"
    );
    let config = Config::parse(&text, "ldsink.yaml", &|_| None);
    let config = config.unwrap_or_else(|mistakes| panic!("{mistakes}"));
    let targets: Vec<_> = config.targets.iter().enumerate().collect();
    let pipeline = &config.pipeline;
    let rights = Rights::of(&targets, pipeline.routes.iter(), pipeline.checks.enabled);
    (rights.to_policy(), rights.undocumented.iter().cloned().collect())
}

fn route(name: &str, rest: &str) -> String {
    format!("  - {{ name: {name}, topics: [t], format: json, {rest} }}\n")
}

fn allow(actions: &[&str], resources: &[&str]) -> Value {
    json!({"effect": "allow", "actions": actions, "resources": resources})
}

#[test]
fn events_alone_need_one_action_and_their_checks_another() {
    let event = |target: &str| {
        route(
            target,
            &format!("metric_event: {{ target: {target}, key: k, context: {{ user: u }} }}"),
        )
    };
    let both = event("p") + &event("s");
    let import = allow(&["importEventData"], &["proj/shop:env/prod", "proj/shop:env/test"]);
    let (found, _) = policy(&both, "checks: { enabled: false }\n");
    assert_eq!(found, json!([import]));
    let (found, _) = policy(&both, "");
    assert_eq!(found, json!([allow(&["viewProject"], &["proj/shop"]), import]));
    let off = event("p").replace("format: json", "format: json, checks: off");
    let import = allow(&["importEventData"], &["proj/shop:env/prod"]);
    assert_eq!(policy(&off, "").0, json!([import]));
}

#[test]
fn segments_need_both_lists_and_creation_only_where_they_are_made() {
    let member = |rest: &str| {
        route("r", &format!("segment_member: {{ target: p, context_key: $.row.id, {rest} }}"))
    };
    let view = allow(&["viewProject"], &["proj/shop"]);
    let segment = |key: &str| format!("proj/shop:env/prod:segment/{key}");
    let both = ["updateExcluded", "updateIncluded"];
    let all = ["createSegment", "updateExcluded", "updateIncluded"];
    for (rest, actions, key) in [
        ("segment: vip", &both[..], "vip"),
        ("segment: vip, kind: standard, list: excluded", &both, "vip"),
        ("segment: vip, create: true", &all, "vip"),
        ("segment: $.row.plan", &both, "*"),
        (
            "segment: vip, kind: synced, synced: { integration_key: amplitude, client_side_id: c }",
            &["createSegment", "updateIncluded"],
            "*",
        ),
    ] {
        let expected = json!([view, allow(actions, &[&segment(key)])]);
        assert_eq!(policy(&member(rest), "").0, expected, "{rest}");
    }
}

#[test]
fn metrics_need_the_actions_of_the_fields_that_are_mapped() {
    let metric = |rest: &str| {
        route("r", &format!("metric: {{ target: p, key: $.row.key, kind: custom, {rest} }}"))
    };
    let actions = |rest: &str| {
        let (policy, undocumented) = policy(&metric(rest), "");
        assert_eq!(policy[1]["resources"], json!(["proj/shop:metric/*"]));
        (policy[1]["actions"].clone(), undocumented)
    };
    let (found, undocumented) = actions(
        "name: $.row.name, event_key: $.row.e, is_numeric: true, unit: EUR, \
         success_criteria: HigherThanBaseline, analysis_units: [user], analysis_type: percentile, \
         percentile_value: 95, event_default: { disabled: true }, winsor_lower_percentile: 1, \
         winsor_upper_percentile: 99, on_delete: archive",
    );
    let expected = [
        "createMetric",
        "updateAnalysisType",
        "updateArchived",
        "updateEventDefault",
        "updateEventKey",
        "updateMetricWinsorization",
        "updateName",
        "updateNumeric",
        "updateNumericSuccess",
        "updateNumericUnit",
        "updateRandomizationUnits",
    ];
    assert_eq!((found, undocumented), (json!(expected), Vec::new()));
    let (found, undocumented) =
        actions("event_key: e, is_numeric: false, data_source: { key: $.row.source }");
    assert_eq!(found, json!(["createMetric", "updateEventKey", "updateNumeric"]));
    assert_eq!(undocumented, ["dataSource"], "what has no action is told, not guessed");
}

#[test]
fn a_report_names_each_finding_and_counts_what_is_wrong() {
    let mut chapter = Chapter::new("route r (target p)".to_owned());
    chapter.say(Grade::Fine, "metric `m` counts it");
    chapter.say(Grade::Unproven, "importEventData: only a write would show it");
    chapter.err("metric_missing: no metric", "create one");
    let mut report = Report { chapters: vec![chapter], ..Report::default() };
    report.policies.push(("target p".to_owned(), "[]".to_owned()));
    let expected = "\
route r (target p)
  ok        metric `m` counts it
  unproven  importEventData: only a write would show it
  error     metric_missing: no metric
            remedy: create one

the smallest role policy for target p:
[]

1 error; 1 right that only a write would prove";
    assert_eq!(report.to_string(), expected);
    assert!(report.has_errors() && !Report::default().has_errors());
}
