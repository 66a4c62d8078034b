//! `routes`: which changes of which topics become which operation.
//!
//! Not here: how a single value is mapped (`fields`), what a reference or a condition may say
//! (`pipeline::route`).

use std::ops::RangeInclusive;
use std::time::Duration;

use super::fields::{Role, field};
use super::keys;
use super::metric;
use super::mistakes::Review;
use super::operation::{condition, mapped, target};
use super::raw::{Entry, Value};
use super::section::{
    CONTEXT_KIND, Section, check_name, entries, is_context_kind, is_key_character, items, scalar,
};
use super::segment;
use super::service::check_topic;
use crate::model::change::{BeforePolicy, Format, Reading};
use crate::model::claim::CheckPolicy;
use crate::model::topic::TopicSelector;
use crate::pipeline::route::settings::{
    Field, MetricEventSettings, OperationSettings, RouteSettings,
};

/// The word for no limit.
const FOREVER: &str = "forever";
const PRIORITY: RangeInclusive<u32> = 1..=100;

/// What the routes refer to.
pub(super) struct Surroundings<'a> {
    pub(super) targets: &'a [String],
    pub(super) dead_letter_topic: &'a str,
}

pub(super) fn read(root: &Section<'_>, surroundings: &Surroundings<'_>) -> Vec<RouteSettings> {
    let remedy = "add a route: without one there is nothing to do";
    let Some(value) = root.get("routes") else {
        root.missing("routes", remedy);
        return Vec::new();
    };
    let items = items(root.review, value);
    if items.is_empty() && root.review.is_sound("routes") {
        root.review.mistake(value.at(), "holds no route", remedy);
    }
    let mut names = Vec::new();
    let read = |item| route(root.review, item, surroundings, &mut names);
    items.iter().filter_map(read).collect()
}

fn route<'a>(
    review: &'a Review<'a>,
    item: &'a Value,
    surroundings: &Surroundings<'_>,
    names: &mut Vec<&'a str>,
) -> Option<RouteSettings> {
    let section = Section::open(review, Some(item), item.at().clone(), keys::ROUTE);
    let name = name(&section, names);
    let topics = topics(&section, surroundings.dead_letter_topic);
    let reading = reading(&section);
    let when = section.text("when").map(|text| condition(review, text));
    let checks = section
        .choice(
            "checks",
            &[
                ("warn", CheckPolicy::Warn),
                ("dead_letter", CheckPolicy::DeadLetter),
                ("off", CheckPolicy::Off),
            ],
        )
        .unwrap_or(CheckPolicy::Warn);
    let operation = operation(&section, surroundings.targets);
    Some(RouteSettings {
        name: name?,
        topics,
        reading: reading?,
        when: when.flatten(),
        checks,
        retry_for: retry_for(&section),
        priority: section.count("priority", 1, &PRIORITY),
        operation: operation?,
    })
}

fn retry_for(section: &Section<'_>) -> Option<Duration> {
    const RANGE: RangeInclusive<Duration> =
        Duration::from_secs(1)..=Duration::from_secs(30 * 24 * 60 * 60);
    if section.text("retry_for").is_none_or(|text| text.text == FOREVER) {
        return None;
    }
    Some(section.duration("retry_for", *RANGE.end(), &RANGE))
}

fn name<'a>(section: &Section<'a>, names: &mut Vec<&'a str>) -> Option<String> {
    let name = section.required("name", "give it a short name; it labels metrics")?;
    let review = section.review;
    check_name(review, name, is_key_character, "use letters, digits, `.`, `_`, `-`");
    if names.contains(&name.text.as_str()) {
        let problem = format!("{} is the name of an earlier route", name.shown());
        review.mistake(&name.at, problem, "give each route a name of its own");
    }
    names.push(&name.text);
    Some(name.text.clone())
}

fn topics(section: &Section<'_>, dead_letter_topic: &str) -> Vec<TopicSelector> {
    let review = section.review;
    let remedy = "name at least one topic: topics: [shop.orders]";
    let Some(value) = section.get("topics") else {
        section.missing("topics", remedy);
        return Vec::new();
    };
    let items = items(review, value);
    if items.is_empty() && review.is_sound(&value.at().key) {
        review.mistake(value.at(), "names no topic", remedy);
    }
    let mut topics: Vec<TopicSelector> = Vec::new();
    for topic in items.iter().filter_map(|item| scalar(review, item)) {
        let selector = match TopicSelector::parse(&topic.text) {
            Ok(selector) => selector,
            Err(error) => {
                let problem = format!("{}: {error}", topic.shown());
                review.mistake(&topic.at, problem, r"write it like ^shop\.public\..*$");
                continue;
            }
        };
        if !selector.is_pattern() {
            check_topic(section, topic);
        }
        if topics.contains(&selector) {
            let problem = format!("{} stands here a second time", topic.shown());
            review.mistake(&topic.at, problem, "name each topic once");
        }
        if selector.selects(dead_letter_topic) {
            let verb = if selector.is_pattern() { "matches" } else { "is" };
            let problem = format!("{} {verb} the dead-letter topic", topic.shown());
            let remedy = "refused records would come back for ever: choose another \
                          dead_letter.topic, or read it with a service of its own";
            review.mistake(&topic.at, problem, remedy);
        }
        topics.push(selector);
    }
    topics
}

fn reading(section: &Section<'_>) -> Option<Reading> {
    let format = format(section);
    let options = BeforePolicy::ALL.map(|policy| (policy.as_str(), policy));
    let before = section.choice("before", &options).unwrap_or_default();
    if section.get("before").is_some() && matches!(format, Some(Format::Json | Format::Maxwell)) {
        let problem = "has no meaning for this format, which invents nothing";
        section.review.mistake(&section.at("before"), problem, "remove it");
    }
    Some(Reading { format: format?, before })
}

fn format(section: &Section<'_>) -> Option<Format> {
    let options: Vec<(&str, Format)> = Format::ALL.iter().map(|f| (f.as_str(), *f)).collect();
    let known: Vec<&str> = options.iter().map(|(word, _)| *word).collect();
    section.required("format", &format!("one of {}", known.join(", ")))?;
    section.choice("format", &options)
}

// --- operations ---

/// The one operation of a route. Several operations are several routes, so that each has its own
/// condition and its own name in metrics.
fn operation(section: &Section<'_>, targets: &[String]) -> Option<OperationSettings> {
    let readers: [(&str, ReadOperation); 3] = [
        ("metric_event", |route, targets| {
            let event = route.section("metric_event", keys::METRIC_EVENT);
            metric_event(&event, targets).map(OperationSettings::MetricEvent)
        }),
        ("metric", |route, targets| {
            let metric = route.section("metric", keys::METRIC);
            metric::metric(&metric, targets).map(OperationSettings::Metric)
        }),
        ("segment_member", |route, targets| {
            let member = route.section("segment_member", keys::SEGMENT_MEMBER);
            segment::member(&member, targets).map(OperationSettings::SegmentMember)
        }),
    ];
    let mut given = readers.iter().filter(|(name, _)| section.get(name).is_some());
    let Some((_, read)) = given.next() else {
        let known = readers.map(|(name, _)| name).join(", ");
        section.missing("metric_event", &format!("say what a change becomes: one of {known}"));
        return None;
    };
    if let Some((second, _)) = given.next() {
        let problem = "stands beside another operation";
        let remedy = "give each operation a route of its own; routes may share topics";
        section.review.mistake(&section.at(second), problem, remedy);
        return None;
    }
    read(section, targets)
}

/// Reads one kind of operation of a route.
type ReadOperation = fn(&Section<'_>, &[String]) -> Option<OperationSettings>;

fn metric_event(section: &Section<'_>, targets: &[String]) -> Option<MetricEventSettings> {
    let target = target(section, targets);
    let key = mapped(section, "key", Role::EventKey);
    if section.get("key").is_none() {
        section.missing("key", "give the event key that a metric listens to");
    }
    let context = context(section);
    let value = mapped(section, "value", Role::Number);
    let time = mapped(section, "time", Role::Time);
    let data = section.get("data").map(|data| members(section.review, data, Role::Attribute));
    let (target, target_name) = target?;
    Some(MetricEventSettings {
        target,
        target_name,
        key: key?,
        context,
        value,
        time,
        data: data.unwrap_or_default(),
    })
}

/// Who the event is about. LaunchDarkly matches both the kind and the key with what the SDKs used.
fn context(section: &Section<'_>) -> Vec<(String, Field)> {
    let review = section.review;
    let remedy = "say whom the event is about: context: { user: $.row.user_id }";
    let Some(value) = section.get("context") else {
        section.missing("context", remedy);
        return Vec::new();
    };
    let kinds = entries(review, value);
    if kinds.is_empty() && review.is_sound(&value.at().key) {
        review.mistake(value.at(), "names no context kind", remedy);
    }
    for kind in kinds {
        if !is_context_kind(&kind.name) {
            review.mistake(&kind.at, "cannot name a context kind", CONTEXT_KIND);
        }
    }
    members(review, value, Role::ContextKey)
}

/// The fields of a section with free names.
fn members(review: &Review<'_>, value: &Value, role: Role) -> Vec<(String, Field)> {
    let read = |entry: &Entry| Some((entry.name.clone(), field(review, &entry.value, role)?));
    entries(review, value).iter().filter_map(read).collect()
}
