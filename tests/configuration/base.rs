//! What the tests begin with: a right file of seventeen lines, and what is said of a changed one.

use ldsink::config::{Config, Mistakes};
use ldsink::pipeline::route::settings::{MetricEventSettings, OperationSettings};

pub(crate) const BASE: &str = "\
kafka:
  bootstrap_servers: localhost:9092
  group_id: orders
targets:
  main:
    access_token: api-very-secret
    project: storefront
    environment: production
routes:
  - name: checkout
    topics: [orders]
    format: json
    metric_event:
      target: main
      key: checkout
      context: { user: $.row.user_id }
";

fn environment(name: &str) -> Option<String> {
    match name {
        "TEN" => Some("10".to_owned()),
        "EMPTY" => Some(String::new()),
        "LD_ACCESS_TOKEN" => Some("api-of-the-reference".to_owned()),
        _ => None,
    }
}

pub(crate) fn parse(text: &str) -> Result<Config, Mistakes> {
    Config::parse(text, "ldsink.yaml", &environment)
}

/// Puts `to` in the place of `from` in the base file, and checks every line that is then said.
pub(crate) fn replaced(from: &str, to: &str, expected: &[&str]) {
    assert!(BASE.contains(from), "{from} is not in the base file");
    said(&BASE.replacen(from, to, 1), expected);
}

/// Adds lines to the base file, from line 17 on.
pub(crate) fn appended(tail: &str, expected: &[&str]) {
    said(&format!("{BASE}{tail}\n"), expected);
}

pub(crate) fn said(text: &str, expected: &[&str]) {
    let mistakes = parse(text).expect_err(text);
    let lines: Vec<String> = mistakes
        .iter()
        .map(|mistake| mistake.to_string().replacen("ldsink.yaml:", "", 1))
        .collect();
    assert_eq!(lines, expected, "of\n{text}");
}

pub(crate) fn metric_event(text: &str) -> MetricEventSettings {
    let config = parse(text).unwrap_or_else(|mistakes| panic!("{mistakes}"));
    let OperationSettings::MetricEvent(event) = config.pipeline.routes[0].operation.clone() else {
        panic!("not a metric event");
    };
    event
}
