//! `ldsink test`: cases that pass, that fail, and that are mistaken.

use crate::run::{CONFIG, Files, Ran};

fn tested(cases: &str) -> Ran {
    let files = Files::new(&[("ldsink.yaml", CONFIG), ("ldsink.test.yaml", cases)]);
    files.run(&["test"], "")
}

#[test]
fn every_kind_of_expectation_can_be_met() {
    let ran = tested(
        r#"
cases:
  - name: two events
    record: { topic: orders, value: { user: 7, total: 2 }, timestamp: "2026-01-01T10:00:00Z" }
    expect:
      - { route: size, metric_event: { key: size, context: { user: 7 }, time: 1767261600000 } }
      - { route: count, metric_event: { key: order, context: { user: "7" }, value: 2, time: "2026-01-01T11:00:00+01:00" } }
  - name: one filters
    record: { topic: orders, value: '{"user":"u","total":0}', timestamp: 1767261600000 }
    expect:
      - { route: count, filtered: when }
      - { route: size, metric_event: { key: size, context: { user: u }, time: 1767261600000 } }
  - name: a record is no place for variables
    record: { topic: orders, value: { user: "${HOME}", total: 0 }, timestamp: 1767261600000 }
    expect:
      - { route: size, metric_event: { key: size, context: { user: "${HOME}" }, time: 1767261600000 } }
  - name: refused, whoever it was
    record: { topic: orders, value: { total: 1 }, timestamp: 1767261600000 }
    expect: [{ refused: missing_field }]
  - name: one of several operations cannot be sent
    record: { topic: members, value: { user: u, segment: "..", active: true } }
    expect:
      - { route: big, refused: refused_by_launchdarkly }
      - { route: standard, segment_member: { segment: staff, context_key: u, list: excluded } }
      - { route: synced, segment_member: { segment: cohort, context_key: u } }
  - name: members
    record: { topic: members, value: { user: u, segment: s, active: false } }
    expect:
      - { route: big, segment_member: { segment: s, context_key: u, member: false } }
      - { route: standard, segment_member: { segment: staff, context_key: u, list: excluded } }
      - { route: synced, segment_member: { segment: cohort, context_key: u } }
"#,
    );
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.out.ends_with("6 passed, 0 failed\n"), "{}", ran.out);
}

#[test]
fn a_case_that_fails_shows_what_differs() {
    let ran = tested(
        r"
cases:
  - name: the wrong value
    record: { topic: orders, value: { user: u, total: 2 }, timestamp: 1767261600000 }
    expect:
      - { route: count, metric_event: { key: order, context: { user: u }, value: 3, time: 1767261600000 } }
      - { route: size, metric_event: { key: size, context: { user: u }, time: 1767261600000 } }
  - name: an event nobody expects
    record: { topic: orders, value: { user: u, total: 0 }, timestamp: 1767261600000 }
    expect: []
  - name: refused instead
    record: { topic: orders, value: { total: 1 }, timestamp: 1767261600000 }
    expect: [{ route: count, filtered: when }]
  - name: this one passes
    record: { topic: orders }
    expect: []
",
    );
    assert_eq!(ran.code, Some(1), "{ran:?}");
    for said in [
        "FAIL  the wrong value (ldsink.test.yaml:3:5)\n",
        "      -     \"value\": 3\n      +     \"value\": 2\n",
        "      - nothing\n",
        "      +     \"key\": \"size\",\n",
        "      the record is refused: metric_event.context.user: ",
        "      -   \"filtered\": \"when\",\n",
        "      +   \"refused\": \"missing_field\",\n",
        "ok    this one passes\n",
    ] {
        assert!(ran.out.contains(said), "no {said:?} in:\n{}", ran.out);
    }
    assert!(ran.out.ends_with("1 passed, 3 failed\n"), "{}", ran.out);
}

#[test]
fn mistakes_in_the_tests_are_told_with_their_places() {
    let ran = tested(
        r"
cases:
  - name: mistakes
    record: { topic: order, vaule: {} }
    expect:
      - { route: cuont, filtered: when }
      - { route: count }
      - { route: count, metric_event: { kye: order } }
      - { refused: missing }
  - record: { topic: orders, timestamp: soon }
",
    );
    assert_eq!(ran.code, Some(2), "{ran:?}");
    for said in [
        "ldsink.test.yaml:4:22: cases[0].record.topic: `order` is read by no route",
        "cases[0].record.vaule: is not a known key; did you mean `value`?",
        "`cuont` is no route; did you mean `count`?",
        "expects not exactly one thing",
        "kye: is not a known key; did you mean `key`?",
        "`missing` is no choice here",
        "cases[1].name: is missing",
    ] {
        assert!(ran.err.contains(said), "no {said:?} in:\n{}", ran.err);
    }
    let files = Files::new(&[("ldsink.yaml", CONFIG)]);
    let ran = files.run(&["test", "none.test.yaml", "-c", "ldsink.yaml"], "");
    assert_eq!(ran.code, Some(2), "{ran:?}");
    assert!(ran.err.contains("none.test.yaml"), "{}", ran.err);
}

#[test]
fn tests_may_be_json() {
    let cases = r#"{"cases":[{"name":"json","record":{"topic":"orders"},"expect":[]}]}"#;
    let files = Files::new(&[("ldsink.yaml", CONFIG), ("ldsink.test.json", cases)]);
    let ran = files.run(&["test", "ldsink.test.json"], "");
    assert_eq!(
        (ran.code, ran.out.lines().last()),
        (Some(0), Some("1 passed, 0 failed")),
        "{ran:?}"
    );
}
