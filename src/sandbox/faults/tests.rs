//! Checks which requests the rules strike.

use super::*;

fn faults(rules: &str) -> Faults {
    let mut faults = Faults::new(7);
    faults.replace(serde_json::from_str(rules).expect("rules")).expect("valid");
    faults
}

fn place(environment: &str) -> Place {
    let environment = Some(environment.to_owned());
    Place { environment, ..Place::of_project("shop") }.with_key("vip")
}

fn strike(faults: &mut Faults, environment: &str, body: &str) -> Vec<&'static str> {
    let place = place(environment);
    let body = Some(body.as_bytes());
    let subject = FaultSubject { operation: Operation::MetricImport, place: &place, body };
    faults.strike(&subject).kinds
}

#[test]
fn times_are_spent_by_matching_requests_only_f1() {
    let mut faults = faults(
        r#"[{"operation":"metric_import","environment":"test","times":2,"action":{"kind":"hang"}}]"#,
    );
    assert!(strike(&mut faults, "production", "").is_empty());
    assert_eq!(strike(&mut faults, "test", ""), ["hang"]);
    assert_eq!(strike(&mut faults, "test", ""), ["hang"]);
    assert!(strike(&mut faults, "test", "").is_empty());
    let shown = serde_json::to_value(faults.rules()).expect("json");
    assert_eq!(shown[0]["remaining"], 0);
    assert_eq!(shown[0]["applied"], 2);
    assert_eq!(shown[0]["times"], 2);
    assert_eq!(shown[0]["action"]["kind"], "hang");
}

#[test]
fn delays_add_up_and_the_first_other_rule_ends_the_search() {
    let mut faults = faults(
        r#"[{"action":{"kind":"delay","ms":5}},{"action":{"kind":"delay","ms":6}},
            {"action":{"kind":"status","status":503}},{"action":{"kind":"hang"}}]"#,
    );
    let place = place("test");
    let subject = FaultSubject { operation: Operation::MetricImport, place: &place, body: None };
    let struck = faults.strike(&subject);
    assert_eq!(struck.delay, Duration::from_millis(11));
    assert_eq!(struck.kinds, ["delay", "delay", "status"]);
    assert!(matches!(struck.action, Some(FaultAction::Status(_))));
}

#[test]
fn poison_strikes_only_bodies_that_hold_it() {
    let mut faults =
        faults(r#"[{"body_contains":"u-666","action":{"kind":"status","status":400}}]"#);
    assert!(strike(&mut faults, "test", "u-66").is_empty());
    assert_eq!(strike(&mut faults, "test", "a u-666 b"), ["status"]);
}

#[test]
fn probability_is_about_right_and_repeatable_f2() {
    let run = || {
        let mut faults = faults(r#"[{"probability":0.25,"action":{"kind":"hang"}}]"#);
        (0..4000).map(|_| strike(&mut faults, "t", "").len()).collect::<Vec<_>>()
    };
    let struck = run();
    assert_eq!(struck, run());
    let hits: usize = struck.iter().sum();
    assert!((850..1150).contains(&hits), "{hits}");
}

#[test]
fn a_key_is_matched_exactly() {
    let mut faults = faults(
        r#"[{"key":"vip2","action":{"kind":"hang"}},{"key":"vip","action":{"kind":"conflict"}}]"#,
    );
    assert_eq!(strike(&mut faults, "test", ""), ["conflict"]);
}

#[test]
fn wrong_rules_leave_the_old_ones_in_force() {
    let mut faults = faults(r#"[{"action":{"kind":"hang"}}]"#);
    for wrong in [
        r#"[{"action":{"kind":"hang"}},{"action":{"kind":"status","status":200}}]"#,
        r#"[{"probability":1.5,"action":{"kind":"hang"}}]"#,
        r#"[{"body_contains":"","action":{"kind":"hang"}}]"#,
    ] {
        faults.replace(serde_json::from_str(wrong).expect("rules")).expect_err(wrong);
    }
    assert_eq!(faults.rules().len(), 1);
}

#[test]
fn unknown_fields_are_refused() {
    for wrong in [
        r#"{"tmies":1,"action":{"kind":"hang"}}"#,
        r#"{"action":{"kind":"status","status":503,"retry_after":1}}"#,
        r#"{"action":{"kind":"explode"}}"#,
    ] {
        serde_json::from_str::<FaultRule>(wrong).expect_err(wrong);
    }
}
