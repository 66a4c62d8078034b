//! Compares what a record becomes with what somebody expects of it.
//!
//! # Invariants
//! - T1: whatever is sent for a record, or refuses it, must be expected; a route that filters it need
//!   be named only where the reason matters. What is refused before anything is sent is one refusal;
//!   what single operations come to is expected of each.
//!
//! Not here: how expectations are written (`config::cases`).

use serde_json::{Map, Value, json};
use similar::{ChangeTag, TextDiff};

use super::explain::{Explainer, Explanation, Fate, Made};
use super::words;
use crate::model::outcome::{FilterReason, RefusalReason};
use crate::model::record::OwnedRecord;

/// One mapping test.
#[derive(Debug)]
pub struct Case {
    pub name: String,
    /// `file:line:column`.
    pub place: String,
    pub record: OwnedRecord,
    pub expected: Vec<Expected>,
}

/// One thing that is expected of a record.
#[derive(Debug)]
pub struct Expected {
    /// Whose work it is; may be left open for a refusal.
    pub route: Option<String>,
    pub what: Expectation,
}

#[derive(Debug)]
pub enum Expectation {
    /// An operation, in the configuration's words ([`words`]).
    Made {
        operation: &'static str,
        said: Value,
    },
    Filtered(FilterReason),
    Refused(RefusalReason),
}

/// Why a case fails.
#[derive(Debug)]
pub struct Failure {
    /// What is expected and does not come, with `-`, and what comes instead, with `+`.
    pub diff: String,
    /// What is wrong with the record, when it is refused.
    pub refusal: Option<String>,
}

/// Runs a case.
///
/// # Errors
/// What differs.
pub fn run(case: &Case, explainer: &Explainer) -> Result<(), Failure> {
    let explanation = explainer.explain(&case.record);
    let routes: Vec<&str> = explanation.routes.iter().map(|outcome| &*outcome.route).collect();
    let place = |value: &Value| {
        let route = value.get("route").and_then(Value::as_str);
        route.and_then(|name| routes.iter().position(|its| *its == name)).unwrap_or(routes.len())
    };
    let (mut expected, mut actual) = (
        case.expected.iter().map(Expected::to_json).collect::<Vec<_>>(),
        actual(case, &explanation),
    );
    expected.sort_by_key(place);
    actual.sort_by_key(place);
    if expected == actual {
        return Ok(());
    }
    let refusal = match &explanation.fate {
        Fate::Refused(refusal) => Some(refusal.detail.clone()),
        Fate::Delivered | Fate::Filtered | Fate::Unread => None,
    };
    Err(Failure { diff: difference(&expected, &actual), refusal })
}

/// What the record becomes, as far as the case is about it (T1).
fn actual(case: &Case, explanation: &Explanation) -> Vec<Value> {
    let mut actual = Vec::new();
    for outcome in &explanation.routes {
        let route = &*outcome.route;
        match &outcome.made {
            Made::Filtered(reason) => {
                if case.expected.iter().any(|it| it.route.as_deref() == Some(route)) {
                    actual.push(json!({ "route": route, "filtered": reason.as_str() }));
                }
            }
            made @ (Made::Event(_) | Made::Operations(_)) if explanation.fate.sends() => {
                actual.extend(words::of_made(made).into_iter().map(|said| match said.refusal {
                    None => json!({ "route": route, said.word: said.content }),
                    Some(refusal) => refused(case, Some(route), refusal.reason),
                }));
            }
            Made::Event(_) | Made::Operations(_) | Made::Refused(_) => {}
        }
    }
    // What refuses a single operation is told where that is.
    if let Fate::Refused(refusal) = &explanation.fate
        && !explanation.fate.sends()
    {
        actual.push(refused(case, refusal.route.as_deref(), refusal.reason));
    }
    actual
}

/// A refusal, without its route where the case leaves that open.
fn refused(case: &Case, route: Option<&str>, reason: RefusalReason) -> Value {
    let is_open = |it: &Expected| it.route.is_none() && matches!(it.what, Expectation::Refused(_));
    let mut object = Map::from_iter([("refused".to_owned(), reason.as_str().into())]);
    if let (Some(route), false) = (route, case.expected.iter().any(is_open)) {
        object.insert("route".to_owned(), route.into());
    }
    Value::Object(object)
}

fn difference(expected: &[Value], actual: &[Value]) -> String {
    let laid_out = |list: &[Value]| {
        let parts = list.iter().map(|value| format!("{value:#}\n"));
        if list.is_empty() { "nothing\n".to_owned() } else { parts.collect() }
    };
    let (expected, actual) = (laid_out(expected), laid_out(actual));
    let diff = TextDiff::from_lines(&expected, &actual);
    let line = |(tag, text): (ChangeTag, &str)| {
        let sign = match tag {
            ChangeTag::Delete => '-',
            ChangeTag::Insert => '+',
            ChangeTag::Equal => ' ',
        };
        format!("{sign} {text}")
    };
    diff.iter_all_changes().map(|change| line((change.tag(), change.value()))).collect()
}

impl Expected {
    fn to_json(&self) -> Value {
        let (word, said) = match &self.what {
            Expectation::Made { operation, said } => (*operation, said.clone()),
            Expectation::Filtered(reason) => ("filtered", reason.as_str().into()),
            Expectation::Refused(reason) => ("refused", reason.as_str().into()),
        };
        let route = self.route.iter().map(|route| ("route".to_owned(), route.as_str().into()));
        route.chain([(word.to_owned(), said)]).collect()
    }
}
