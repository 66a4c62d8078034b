//! Computed and converted values.

use crate::run::{Files, TOKEN, run};

const COMPUTED: &str = r#"
kafka: { bootstrap_servers: "localhost:9092", group_id: g }
targets:
  production: { access_token: "${SECRET_TOKEN}", project: shop, environment: production }
routes:
  - name: renewals
    topics: [subscriptions]
    format: debezium
    when: row.price != null
    metric_event:
      target: production
      key: { expr: '"renewed-" + row.plan.lowerAscii()' }
      context: { user: { from: $.row.user_no, as: string } }
      value: { from: $.row.price, as: decimal, scale: 2 }
      time: { from: $.row.renewed_on, as: timestamp, unit: days }
      data:
        trial: { from: $.row.is_trial, as: boolean }
        monthly: { expr: row.yearly / 12.0, optional: true }
  - name: plans
    topics: [subscriptions]
    format: debezium
    before: full
    segment_member:
      target: production
      segment: { expr: "'plan-' + row.plan.lowerAscii()" }
      context_key: { from: $.row.user_no, as: integer }
  - name: definitions
    topics: [definitions]
    format: json
    metric:
      target: production
      key:
        expr: row.name.lowerAscii().replace(' ', '-')
      kind: custom
      event_key: $.row.event
      is_numeric: { from: $.row.numeric, as: boolean }
      success_criteria: { expr: 'row.higher ? "HigherThanBaseline" : "LowerThanBaseline"' }
      tags: { expr: "row.tags.split(',')" }
      analysis_units: [user]
"#;

#[test]
fn computed_and_converted_values_reach_the_requests() {
    let cases = r#"
cases:
  - name: a renewal
    record:
      topic: subscriptions
      value:
        op: u
        before: { plan: PRO, user_no: 17.0 }
        after: { plan: Team, user_no: 17.0, price: "E4I=", renewed_on: 20454, is_trial: 0, yearly: 120 }
    expect:
      - route: renewals
        metric_event:
          key: renewed-team
          context: { user: "17.0" }
          value: 49.94
          time: 2026-01-01T00:00:00Z
          data: { trial: false, monthly: 10.0 }
      - route: plans
        segment_member: { segment: plan-pro, context_key: 17, member: false }
      - route: plans
        segment_member: { segment: plan-team, context_key: 17 }
  - name: a definition
    record:
      topic: definitions
      value: { name: Net Revenue, event: net, numeric: t, higher: false, tags: "a,b" }
    expect:
      - route: definitions
        metric:
          key: net-revenue
          kind: custom
          event_key: net
          is_numeric: true
          success_criteria: LowerThanBaseline
          tags: [a, b]
          analysis_units: [user]
"#;
    let files = Files::new(&[("ldsink.yaml", COMPUTED), ("ldsink.test.yaml", cases)]);
    let ran = run(files.0.path(), &["test", "ldsink.test.yaml"], "", &[("SECRET_TOKEN", TOKEN)]);
    assert_eq!(ran.code, Some(0), "{}\n{}", ran.out, ran.err);
}

#[test]
fn what_cannot_be_computed_or_converted_is_told_with_its_place() {
    let records = [
        r#"{"op":"c","after":{"plan":7,"user_no":1,"price":"AQ==","renewed_on":20454,"is_trial":1}}"#,
        r#"{"op":"c","after":{"plan":"a","user_no":1,"price":"zq9!","renewed_on":20454,"is_trial":1}}"#,
        r#"{"op":"c","after":{"plan":"a","user_no":1,"price":"AQ==","renewed_on":"zq9","is_trial":1}}"#,
        r#"{"op":"c","after":{"plan":"a","user_no":1,"renewed_on":20454,"is_trial":1}}"#,
        r#"{"op":"c","after":{"user_no":1.5,"price":"AQ==","renewed_on":20454,"is_trial":2}}"#,
    ];
    let files = Files::new(&[("ldsink.yaml", COMPUTED)]);
    let args = ["preview", "--topic", "subscriptions"];
    let ran = run(files.0.path(), &args, &records.join("\n"), &[("SECRET_TOKEN", TOKEN)]);
    for said in [
        "renewals: refused: expression_failed: metric_event.key: expr: column 14: \
         `lowerAscii` does not take a number",
        "renewals: refused: wrong_type: metric_event.value: as decimal: it is a text that is not base64",
        "renewals: refused: implausible_time: metric_event.time: as timestamp: \
         it is a text that is no time in ISO 8601",
        "renewals: refused: expression_failed: when: column 1: row.price is absent",
        "renewals: refused: missing_field: metric_event.key: expr: column 14: row.plan is absent",
        "plans: refused: missing_field: segment_member.segment: expr: column 11: row.plan is absent",
        "remedy: guard the expression, for example with has(row.field)",
        "5 records: 0 delivered, 0 filtered, 5 dead-lettered\n",
    ] {
        assert!(ran.out.contains(said), "no {said:?} in:\n{}", ran.out);
    }
    assert!(!ran.out.contains("zq9"), "{}", ran.out);
}
