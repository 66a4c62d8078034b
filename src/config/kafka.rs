//! `kafka`: how to reach it, as whom to consume, and which librdkafka properties may be set.
//!
//! # Invariants
//! - C2: no property can switch off what keeps records from being lost: those are refused, each
//!   with its reason, instead of being overridden in silence.
//!
//! Not here: whether librdkafka knows a property (the client says so at start).

use std::ops::RangeInclusive;
use std::time::Duration;

use super::keys;
use super::mistakes::Review;
use super::raw::{Entry, Scalar};
use super::section::{Section, check_name, entries, scalar};
use crate::kafka::settings::KafkaSettings;

const STARTUP_TIMEOUT: Duration = Duration::from_secs(30);
const STARTUP_RANGE: RangeInclusive<Duration> =
    Duration::from_secs(1)..=Duration::from_secs(10 * 60);

/// What a revocation needs beside the drain (commit, callbacks) before the broker gives up on us.
const POLL_MARGIN: Duration = Duration::from_secs(10);

const COMMITS: &str = "ldsink commits what is settled, and nothing else";
const REMOVE: &str = "remove it";

/// Properties that are refused whatever their value: name, reason, remedy.
const REFUSED: [(&str, &str, &str); 16] = [
    ("enable.auto.commit", COMMITS, REMOVE),
    ("auto.commit.enable", COMMITS, REMOVE),
    ("auto.commit.interval.ms", COMMITS, "use commit_interval"),
    ("enable.auto.offset.store", COMMITS, REMOVE),
    ("offset.store.method", COMMITS, REMOVE),
    ("offset.store.path", COMMITS, REMOVE),
    ("offset.store.sync.interval.ms", COMMITS, REMOVE),
    ("group.id", "has a key of its own", "use kafka.group_id"),
    ("bootstrap.servers", "has a key of its own", "use kafka.bootstrap_servers"),
    ("metadata.broker.list", "has a key of its own", "use kafka.bootstrap_servers"),
    ("enable.partition.eof", "ldsink never stops at the end of a partition", REMOVE),
    ("allow.auto.create.topics", "a misspelt topic would be created, and stay empty", REMOVE),
    ("enable.idempotence", "dead letters are always written safely", REMOVE),
    ("acks", "dead letters always wait for all replicas", REMOVE),
    ("request.required.acks", "dead letters always wait for all replicas", REMOVE),
    ("transactional.id", "ldsink writes no transactions", REMOVE),
];

/// Reads the section. `drain` is the drain deadline when it is known: the poll interval must leave
/// room for it.
pub(super) fn read(root: &Section<'_>, drain: Option<Duration>) -> KafkaSettings {
    let section = &root.section("kafka", keys::KAFKA);
    let servers = section.required("bootstrap_servers", "name the brokers: host:port, host:port");
    if let Some(servers) = servers {
        check_servers(section.review, servers);
    }
    let group = section.required("group_id", "name the consumer group");
    if let Some(group) = group {
        let is_allowed = |c: char| !c.is_whitespace() && !c.is_control();
        check_name(section.review, group, is_allowed, "use no blanks");
    }
    KafkaSettings {
        bootstrap_servers: servers.map(|scalar| scalar.text.clone()).unwrap_or_default(),
        group_id: group.map(|scalar| scalar.text.clone()).unwrap_or_default(),
        startup_timeout: section.duration("startup_timeout", STARTUP_TIMEOUT, &STARTUP_RANGE),
        properties: properties(section, drain),
    }
}

fn check_servers(review: &Review<'_>, servers: &Scalar) {
    let is_broker = |broker: &str| {
        broker.trim().rsplit_once(':').is_some_and(|(host, port)| {
            !host.is_empty()
                && !host.contains(['/', ' '])
                && port.parse::<u16>().is_ok_and(|port| port > 0)
        })
    };
    if servers.text.split(',').all(is_broker) {
        return;
    }
    let remedy = if servers.text.contains("://") {
        "write host:port, and set the protocol in kafka.properties: security.protocol"
    } else {
        "write host:port, several separated by commas"
    };
    review.mistake(&servers.at, format!("{} is no list of brokers", servers.shown()), remedy);
}

fn properties(section: &Section<'_>, drain: Option<Duration>) -> Vec<(String, String)> {
    let Some(value) = section.get("properties") else { return Vec::new() };
    let read = |entry: &Entry| {
        let value = scalar(section.review, &entry.value)?;
        check_property(section.review, entry, value, drain);
        Some((entry.name.clone(), value.text.clone()))
    };
    entries(section.review, value).iter().filter_map(read).collect()
}

fn check_property(review: &Review<'_>, entry: &Entry, value: &Scalar, drain: Option<Duration>) {
    let name = entry.name.as_str();
    let refuse = |reason: &str, remedy: &str| {
        review.mistake(&entry.at, format!("is not allowed: {reason}"), remedy);
    };
    if let Some((_, reason, remedy)) = REFUSED.iter().find(|(refused, ..)| *refused == name) {
        return refuse(reason, remedy);
    }
    match name {
        "auto.offset.reset" if !matches!(value.text.as_str(), "earliest" | "error") => {
            refuse("records nobody has read could be skipped", "use `earliest` or `error`");
        }
        "isolation.level" if value.text != "read_committed" => {
            refuse("uncommitted records may be rolled back", REMOVE);
        }
        "max.poll.interval.ms" => check_poll_interval(review, value, drain),
        name if name.ends_with("_cb") => refuse("a file cannot hold a callback", REMOVE),
        _ => {}
    }
}

/// A drain that outlasts the poll interval costs the assignment, and with it the last commit.
fn check_poll_interval(review: &Review<'_>, value: &Scalar, drain: Option<Duration>) {
    let Ok(millis) = value.text.parse() else {
        let problem = format!("{} is not a number of milliseconds", value.shown());
        return review.mistake(&value.at, problem, "write digits only");
    };
    let Some(least) = drain.map(|drain| drain + POLL_MARGIN) else { return };
    if Duration::from_millis(millis) <= least {
        review.mistake(
            &value.at,
            "is too short for a drain",
            format!("make it more than {}, which is drain_deadline and 10s", least.as_millis()),
        );
    }
}
