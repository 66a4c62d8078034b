//! Prints an explanation, for people and for programs.

use std::fmt::Write;
use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::explain::{Explainer, Explanation, Fate, Made, RouteOutcome};
use super::plan::Planned;
use super::words::{self, Said};
use crate::launchdarkly::view::RequestView;
use crate::model::outcome::Refusal;
use crate::model::record::OwnedRecord;

/// What a larger request has in common with those that are shown.
const ALONE: &str = "Nothing was sent. Each request is as if its record came alone: in a larger batch, the events are \
     the same and the payload ID is another.";

/// How bodies are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bodies {
    /// The bytes that are sent.
    Exact,
    /// Laid out over lines.
    Pretty,
}

/// Counts how records ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    delivered: u64,
    filtered: u64,
    refused: u64,
    unread: u64,
}

/// Prints a record for a person.
pub fn text(
    record: &OwnedRecord,
    explanation: &Explanation,
    explainer: &Explainer,
    bodies: Bodies,
) -> String {
    let mut requests: Vec<&Planned> = explanation.requests.iter().collect();
    let mut lines = vec![format!("{}@{}", record.partition, record.offset)];
    for outcome in &explanation.routes {
        lines.extend(route_lines(outcome, &explanation.fate, explainer));
        let (its, others) = requests
            .into_iter()
            .partition(|planned| planned.routes.first() == Some(&outcome.route));
        requests = others;
        for planned in its {
            lines.extend(request_lines(planned, &outcome.route, bodies));
        }
    }
    lines.extend(fate_lines(explanation));
    while lines.last().is_some_and(String::is_empty) {
        lines.pop();
    }
    lines.join("\n")
}

fn route_lines(outcome: &RouteOutcome, fate: &Fate, explainer: &Explainer) -> Vec<String> {
    let RouteOutcome { route, made, .. } = outcome;
    let target = explainer.target(outcome);
    match made {
        Made::Event(_) | Made::Operations(_) => {
            let would = if fate.sends() { "delivered" } else { "would be delivered" };
            let of_said = |Said { word, content, refusal }: Said<'_>| match refusal {
                None => vec![format!("  {route}: {would} to {target} as {word} {content}")],
                Some(refusal) => {
                    let mut lines = vec![format!("  {route}: not sent: {word} {content}")];
                    lines.extend(refusal_lines(route, refusal));
                    lines
                }
            };
            words::of_made(made).into_iter().flat_map(of_said).collect()
        }
        Made::Filtered(reason) => vec![format!("  {route}: filtered: {}", reason.as_str())],
        Made::Refused(refusal) => refusal_lines(route, refusal),
    }
}

fn refusal_lines(route: &str, refusal: &Refusal) -> Vec<String> {
    vec![
        format!("  {route}: refused: {}: {}", refusal.reason.as_str(), refusal.detail),
        format!("    remedy: {}", refusal.reason.remedy()),
    ]
}

fn request_lines(planned: &Planned, route: &Arc<str>, bodies: Bodies) -> Vec<String> {
    let mut lines = Vec::new();
    let others: Vec<&str> =
        planned.routes.iter().filter(|its| *its != route).map(|its| &**its).collect();
    if !others.is_empty() {
        lines.push(format!("    (one request, together with {})", others.join(", ")));
    }
    if let Some(condition) = planned.condition {
        lines.push(format!("    ({condition})"));
    }
    lines.extend(view_lines(&planned.request, bodies));
    lines
}

fn view_lines(view: &RequestView, bodies: Bodies) -> Vec<String> {
    let mut lines = vec![format!("    {} {}", view.method, view.url)];
    lines.extend(view.headers.iter().map(|(name, value)| format!("    {name}: {value}")));
    if let Some(body) = &view.body {
        lines.push(String::new());
        lines.extend(laid_out(body, bodies).lines().map(|line| format!("    {line}")));
    }
    lines.push(String::new());
    lines
}

/// Laying out goes through a tree, so a number may be spelled differently than in the exact body.
fn laid_out(body: &str, bodies: Bodies) -> String {
    let tree = match bodies {
        Bodies::Exact => None,
        Bodies::Pretty => serde_json::from_str::<Value>(body).ok(),
    };
    tree.map_or_else(|| body.to_owned(), |tree| format!("{tree:#}"))
}

fn fate_lines(explanation: &Explanation) -> Vec<String> {
    match &explanation.fate {
        Fate::Delivered | Fate::Filtered => Vec::new(),
        Fate::Unread => vec!["  not read: no route names this topic".to_owned()],
        Fate::Refused(refusal) => {
            let reason = refusal.reason.as_str();
            let mut lines = Vec::new();
            let is_told = |outcome: &RouteOutcome| matches!(outcome.made, Made::Refused(_));
            let sends = explanation.fate.sends();
            if !sends && !explanation.routes.iter().any(is_told) {
                lines.push(format!("  refused: {reason}: {}", refusal.detail));
                lines.push(format!("    remedy: {}", refusal.reason.remedy()));
            }
            let why = if sends {
                "whatever else it leads to is sent"
            } else {
                "what one route refuses is sent by none"
            };
            lines.push(format!("  => a dead letter with reason {reason}; {why}"));
            lines
        }
    }
}

/// Prints a record for a program: a JSON object in one line.
pub fn json(record: &OwnedRecord, explanation: &Explanation, explainer: &Explainer) -> String {
    let routes = explanation.routes.iter().map(|outcome| route_json(outcome, explainer));
    let mut object = Map::from_iter([
        ("topic".to_owned(), Value::from(&*record.partition.topic)),
        ("partition".to_owned(), record.partition.number.into()),
        ("offset".to_owned(), record.offset.into()),
        ("outcome".to_owned(), explanation.fate.as_str().into()),
        ("routes".to_owned(), routes.collect()),
        ("requests".to_owned(), explanation.requests.iter().map(planned_json).collect()),
    ]);
    if let Fate::Refused(refusal) = &explanation.fate {
        object.insert("refusal".to_owned(), refusal_json(refusal));
    }
    Value::Object(object).to_string()
}

fn route_json(outcome: &RouteOutcome, explainer: &Explainer) -> Value {
    let (route, target) = (&*outcome.route, explainer.target(outcome));
    match &outcome.made {
        Made::Event(_) | Made::Operations(_) => {
            let becomes = words::of_made(&outcome.made);
            let of = |Said { word, content, refusal }: Said<'_>| match refusal {
                None => json!({ word: content }),
                Some(refusal) => json!({ word: content, "refused": refusal_json(refusal) }),
            };
            let becomes: Value = becomes.into_iter().map(of).collect();
            json!({ "route": route, "target": target, "becomes": becomes })
        }
        Made::Filtered(reason) => {
            json!({ "route": route, "target": target, "filtered": reason.as_str() })
        }
        Made::Refused(refusal) => {
            json!({ "route": route, "target": target, "refused": refusal_json(refusal) })
        }
    }
}

fn refusal_json(refusal: &Refusal) -> Value {
    json!({
        "reason": refusal.reason.as_str(),
        "stage": refusal.stage.as_str(),
        "route": refusal.route,
        "detail": refusal.detail,
        "remedy": refusal.reason.remedy(),
    })
}

fn planned_json(planned: &Planned) -> Value {
    let routes: Vec<&str> = planned.routes.iter().map(|route| &**route).collect();
    let Planned { target, condition, .. } = planned;
    let RequestView { method, url, headers, body } = &planned.request;
    let headers: Map<String, Value> =
        headers.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
    json!({
        "routes": routes, "target": target, "condition": condition, "method": method, "url": url,
        "headers": headers, "body": body,
    })
}

// === impl Fate ===

impl Fate {
    /// The word for it among the metrics' outcomes, or `unread`.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Filtered => "filtered",
            Self::Refused(_) => "dead_lettered",
            Self::Unread => "unread",
        }
    }
}

// === impl Tally ===

impl Tally {
    pub fn count(&mut self, fate: &Fate) {
        *match fate {
            Fate::Delivered => &mut self.delivered,
            Fate::Filtered => &mut self.filtered,
            Fate::Refused(_) => &mut self.refused,
            Fate::Unread => &mut self.unread,
        } += 1;
    }

    /// The closing line.
    pub fn text(&self) -> String {
        let Self { delivered, filtered, refused, unread } = self;
        let total = delivered + filtered + refused + unread;
        let noun = if total == 1 { "record" } else { "records" };
        let mut line = format!(
            "{total} {noun}: {delivered} delivered, {filtered} filtered, {refused} dead-lettered"
        );
        if *unread > 0 && write!(line, ", {unread} of topics that no route reads").is_err() {
            debug_assert!(false, "writing to a text cannot fail");
        }
        if *delivered > 0 {
            line.push('\n');
            line.push_str(ALONE);
        }
        line
    }
}
