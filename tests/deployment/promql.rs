//! Reads which metrics and labels a PromQL expression names, and checks that they exist.
//!
//! Not here: whether the expression is sensible or even valid; `promtool check rules` says that.

use std::collections::BTreeSet;

use ldsink::telemetry::metrics::Kind;

use crate::metrics::{declared, of_the_process};

/// Labels that Prometheus itself gives to everything it scrapes.
const OF_THE_SCRAPE: [&str; 2] = ["job", "instance"];
const OPERATORS: [&str; 8] =
    ["and", "or", "unless", "bool", "group_left", "group_right", "offset", "atan2"];
/// What a list of label names in parentheses follows.
const GROUPING: [&str; 4] = ["by", "without", "on", "ignoring"];

/// What an expression names.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Named {
    pub(crate) metrics: BTreeSet<String>,
    /// In braces, with the metric before them.
    pub(crate) matched: BTreeSet<(String, String)>,
    /// In `by (...)` and its like.
    pub(crate) grouped: BTreeSet<String>,
}

/// Checks that all metrics and labels of an expression exist.
pub(crate) fn check(expression: &str) {
    let named = read(expression);
    assert!(!named.metrics.is_empty(), "no metric in {expression}");
    for (metric, label) in &named.matched {
        let labels = labels(metric);
        assert!(
            labels.contains(label),
            "{metric} has no label {label}, only {labels:?}: {expression}"
        );
    }
    let known: BTreeSet<String> = named.metrics.iter().flat_map(|name| labels(name)).collect();
    for label in &named.grouped {
        assert!(known.contains(label), "nothing has a label {label}, only {known:?}: {expression}");
    }
}

/// The labels of a metric, with those of the scrape; panics when there is no such metric.
pub(crate) fn labels(name: &str) -> BTreeSet<String> {
    let of_the_scrape = OF_THE_SCRAPE.map(str::to_owned);
    if name == "ALERTS" {
        return ["alertname", "alertstate", "severity"].map(str::to_owned).into();
    }
    if name == "up" || of_the_process().contains(name) {
        return of_the_scrape.into();
    }
    let declared = declared();
    let (metric, part) = match base(name) {
        Some((base, part)) if declared.get(base).is_some_and(|it| it.kind == Kind::Histogram) => {
            (&declared[base], Some(part))
        }
        _ => (declared.get(name).unwrap_or_else(|| panic!("there is no metric {name}")), None),
    };
    let is_whole = metric.kind != Kind::Histogram;
    assert!(is_whole || part.is_some(), "{name} is a histogram: use its buckets, sum or count");
    let of_the_buckets = (part == Some("_bucket")).then(|| "le".to_owned());
    metric
        .labels
        .iter()
        .map(|label| (*label).to_owned())
        .chain(of_the_scrape)
        .chain(of_the_buckets)
        .collect()
}

/// The metric as it is declared, without the ending that a histogram's parts have.
pub(crate) fn base(name: &str) -> Option<(&str, &'static str)> {
    ["_bucket", "_sum", "_count"]
        .into_iter()
        .find_map(|part| Some((name.strip_suffix(part)?, part)))
}

pub(crate) fn read(expression: &str) -> Named {
    let mut named = Named::default();
    let mut rest = expression;
    while let Some(first) = rest.chars().next() {
        if first.is_ascii_alphabetic() || first == '_' {
            let (word, after) = rest.split_at(word_length(rest));
            rest = after.trim_start();
            if GROUPING.contains(&word) {
                let list = rest.strip_prefix('(').and_then(|list| list.split_once(')'));
                let (list, after) =
                    list.unwrap_or_else(|| panic!("no list after {word}: {expression}"));
                named.grouped.extend(words(list));
                rest = after;
            } else if !rest.starts_with('(')
                && !OPERATORS.contains(&word)
                && !is_aggregation(word, rest)
            {
                named.metrics.insert(word.to_owned());
                if let Some((matchers, after)) =
                    rest.strip_prefix('{').and_then(|it| it.split_once('}'))
                {
                    let labels = words(&without_strings(matchers));
                    named.matched.extend(labels.into_iter().map(|label| (word.to_owned(), label)));
                    rest = after;
                }
            }
        } else if first == '[' {
            rest = rest.split_once(']').expect("a range is closed").1;
        } else if first.is_ascii_digit() {
            // A number with its unit or exponent.
            rest = rest.trim_start_matches(|c: char| c.is_ascii_alphanumeric() || c == '.');
        } else {
            rest = rest.strip_prefix(first).unwrap_or_default();
        }
    }
    named
}

/// `sum by (...) (...)`: what is aggregated comes after the list.
fn is_aggregation(word: &str, rest: &str) -> bool {
    ["sum", "max", "min", "avg", "count"].contains(&word)
        && ["by", "without"].iter().any(|grouping| rest.starts_with(grouping))
}

fn word_length(text: &str) -> usize {
    text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != ':').unwrap_or(text.len())
}

fn words(text: &str) -> Vec<String> {
    let separators = |c: char| !c.is_ascii_alphanumeric() && c != '_';
    text.split(separators).filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

fn without_strings(text: &str) -> String {
    text.split('"').step_by(2).collect()
}

#[test]
fn metrics_and_labels_are_found() {
    let named = read(
        "time() - max by (a, b) (m_one{x=~\"$y, z\", w!=\"}\"} > 0.5e3) unless on (c) \
         increase(m_two[5m]) > 0 and deriv(sum(m_three)[10m:])",
    );
    let set = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<BTreeSet<_>>();
    assert_eq!(named.metrics, set(&["m_one", "m_two", "m_three"]));
    assert_eq!(named.grouped, set(&["a", "b", "c"]));
    let matched: BTreeSet<_> = named.matched.iter().map(|(_, label)| label.clone()).collect();
    assert_eq!(matched, set(&["x", "w"]));
}

#[test]
#[should_panic(expected = "there is no metric ldsink_record_total")]
fn a_mistyped_metric_is_found() {
    check("rate(ldsink_record_total[5m])");
}

#[test]
#[should_panic(expected = "ldsink_records_total has no label reason")]
fn a_label_of_another_metric_is_found() {
    check("rate(ldsink_records_total{reason=\"when\"}[5m])");
}

#[test]
#[should_panic(expected = "nothing has a label topic")]
fn a_grouping_by_a_label_of_another_metric_is_found() {
    check("sum by (topic) (rate(ldsink_records_total[5m]))");
}

#[test]
#[should_panic(expected = "is a histogram")]
fn a_histogram_without_its_part_is_found() {
    check("rate(ldsink_delivery_latency_seconds[5m])");
}
