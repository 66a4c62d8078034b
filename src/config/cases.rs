//! The file of mapping tests: records, and what each of them is expected to become.
//!
//! ```yaml
//! cases:
//!   - name: a new order counts
//!     record: { topic: orders, value: { id: 1, user_id: u-1, total: 9.5 } }
//!     expect:
//!       - { route: checkout, metric_event: { key: checkout, context: { user: u-1 }, value: 9.5 } }
//! ```
//!
//! It is read like the configuration beside it, all mistakes at once, but for variables: a record may
//! hold any text.
//!
//! Not here: what a record becomes (`preview`).

use serde_json::Value as Json;

use super::keys::SectionKeys;
use super::mistakes::{At, Mistakes, Review, Secrets, suggestion};
use super::raw::{self, Value};
use super::section::{Section, items};
use super::{Config, without_mark};
use crate::model::outcome::{FilterReason, RefusalReason};
use crate::model::record::OwnedRecord;
use crate::model::topic::TopicSelector;
use crate::pipeline::route::settings::RouteSettings;
use crate::preview::cases::{Case, Expectation, Expected};
use crate::preview::{input, words};

const ROOT: SectionKeys = SectionKeys { section: "", keys: &["cases"] };
const CASE: SectionKeys = SectionKeys { section: "cases[]", keys: &["name", "record", "expect"] };
const RECORD: SectionKeys = SectionKeys {
    section: "cases[].record",
    keys: &["topic", "partition", "offset", "key", "value", "headers", "timestamp"],
};
const EXPECT: SectionKeys = SectionKeys {
    section: "cases[].expect[]",
    keys: &["route", "metric_event", "segment_member", "metric", "filtered", "refused"],
};
const METRIC_EVENT: SectionKeys = SectionKeys {
    section: "cases[].expect[].metric_event",
    keys: &["key", "context", "value", "time", "data"],
};
const SEGMENT_MEMBER: SectionKeys = SectionKeys {
    section: "cases[].expect[].segment_member",
    keys: &["segment", "context_key", "member", "list"],
};
const OPERATIONS: [&str; 3] = ["metric_event", "segment_member", "metric"];

/// Reads the tests of a configuration. `name` is the file's path, for mistakes.
pub fn read(text: &str, name: &str, config: &Config) -> Result<Vec<Case>, Mistakes> {
    let review = Review::new(name, without_mark(text), Secrets::Required);
    let root = raw::read(without_mark(text), None, &review);
    let cases = root.map(|root| cases(&root, &review, config));
    review.conclude(cases)
}

fn cases(root: &Value, review: &Review<'_>, config: &Config) -> Vec<Case> {
    let start = At { key: String::new(), line: 1, column: 1 };
    let root = Section::open(review, Some(root), start, ROOT);
    let Some(list) = root.get("cases") else {
        root.missing("cases", "list the tests: cases: [{ name, record, expect }]");
        return Vec::new();
    };
    items(review, list).iter().filter_map(|item| case(review, item, config)).collect()
}

fn case(review: &Review<'_>, item: &Value, config: &Config) -> Option<Case> {
    let section = Section::open(review, Some(item), item.at().clone(), CASE);
    let name = section.required("name", "say what is tested")?;
    let routes = &config.pipeline.routes;
    let record = record(&section, &config.pipeline.topics());
    let Some(list) = section.get("expect") else {
        section.missing("expect", "list what the record becomes; [] when nothing is sent");
        return None;
    };
    let expected = items(review, list).iter().filter_map(|item| expected(review, item, routes));
    let expected = expected.collect();
    let At { line, column, .. } = item.at();
    let place = format!("{}:{line}:{column}", review.file());
    Some(Case { name: name.text.clone(), place, record: record?, expected })
}

fn record(case: &Section<'_>, topics: &[TopicSelector]) -> Option<OwnedRecord> {
    let Some(value) = case.get("record") else {
        case.missing("record", "give the record: { topic, value }");
        return None;
    };
    let section = case.section("record", RECORD);
    let topic = section.required("topic", "name the topic that the record is from")?;
    if !topics.iter().any(|known| known.selects(&topic.text)) {
        let known: Vec<&str> = topics.iter().map(TopicSelector::as_str).collect();
        let problem = format!("{} is read by no route", topic.shown());
        case.review.mistake(&topic.at, problem, suggestion(&topic.text, &known));
    }
    match input::record(&value.to_json(), 0) {
        Ok(record) => Some(record),
        Err(error) => {
            let remedy = "write it as `ldsink preview` reads it";
            case.review.mistake(value.at(), error.to_string(), remedy);
            None
        }
    }
}

// --- expectations ---

fn expected(review: &Review<'_>, item: &Value, routes: &[RouteSettings]) -> Option<Expected> {
    let section = Section::open(review, Some(item), item.at().clone(), EXPECT);
    let route = section.text("route");
    if let Some(route) = route.filter(|route| routes.iter().all(|its| its.name != route.text)) {
        let known: Vec<&str> = routes.iter().map(|route| route.name.as_str()).collect();
        let problem = format!("{} is no route", route.shown());
        review.mistake(&route.at, problem, suggestion(&route.text, &known));
    }
    let given: Vec<&str> = EXPECT
        .keys
        .iter()
        .copied()
        .filter(|key| *key != "route" && section.get(key).is_some())
        .collect();
    let [word] = given.as_slice() else {
        let remedy = format!("one of {}", EXPECT.keys.get(1..).unwrap_or_default().join(", "));
        review.mistake(item.at(), "expects not exactly one thing", remedy);
        return None;
    };
    if route.is_none() && *word != "refused" {
        section.missing("route", "say which route does this");
    }
    let what = expectation(&section, word)?;
    Some(Expected { route: route.map(|route| route.text.clone()), what })
}

fn expectation(section: &Section<'_>, word: &str) -> Option<Expectation> {
    let operation = OPERATIONS.into_iter().find(|known| *known == word);
    if let Some(operation) = operation {
        match operation {
            "metric_event" => drop(section.section(operation, METRIC_EVENT)),
            "segment_member" => drop(section.section(operation, SEGMENT_MEMBER)),
            _ => {}
        }
        let said = serde_json::from_str(&section.get(operation)?.to_json()).ok()?;
        return Some(Expectation::Made { operation, said: usual(operation, said) });
    }
    if word == "filtered" {
        let reasons = FilterReason::ALL.map(|reason| (reason.as_str(), reason));
        return section.choice(word, &reasons).map(Expectation::Filtered);
    }
    let reasons = RefusalReason::ALL.map(|reason| (reason.as_str(), reason));
    section.choice(word, &reasons).map(Expectation::Refused)
}

/// The one way in which something is said that may be written in several: names are texts, a time is
/// RFC 3339 in UTC, and what goes without saying is said.
fn usual(operation: &str, mut said: Json) -> Json {
    let text = |value: &mut Json| {
        if value.is_number() {
            *value = Json::String(value.to_string());
        }
    };
    let Some(members) = said.as_object_mut() else { return said };
    for name in ["key", "segment", "context_key"] {
        members.get_mut(name).map(text);
    }
    if let Some(Json::Object(context)) = members.get_mut("context") {
        context.values_mut().for_each(text);
    }
    if let Some(time) = members.get_mut("time")
        && let Some(moment) = words::moment(time)
    {
        *time = Json::String(moment);
    }
    if operation == "segment_member" {
        members.entry("member").or_insert(Json::Bool(true));
        members.entry("list").or_insert_with(|| "included".into());
    }
    said
}
