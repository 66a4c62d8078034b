//! The sections with defaults only: batching, delivery, dead letters, limits, admin, log.
//!
//! Every default and every range is stated once, here; the reference file repeats them and a test
//! holds it to that.

use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroU32;
use std::ops::RangeInclusive;
use std::time::Duration;

use tracing_subscriber::EnvFilter;

use super::keys;
use super::mistakes::suggestion;
use super::raw::Scalar;
use super::secret;
use super::section::{Section, check_name, is_key_character};
use crate::pipeline::settings::{
    BatchSettings, CheckSettings, CoalesceSettings, DeadLetterSettings, DeliverySettings,
    GuardSettings, LimitSettings, Unmatched,
};
use crate::telemetry::logging::{LEVELS, unknown_level};
use crate::telemetry::settings::{AdminSettings, LogFormat, LogSettings};

const MAX_MEMBERS: RangeInclusive<u32> = 1..=10_000;
const MAX_EVENTS: RangeInclusive<u32> = 1..=100_000;
/// The upper end stays below the 10 MB that LaunchDarkly takes.
const MAX_BYTES: RangeInclusive<usize> = 1_000..=9_900_000;
const LINGER: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_secs(5 * 60);
const CONCURRENCY: RangeInclusive<u32> = 1..=64;
/// Per second, or at once; the upper end is far beyond what 64 requests at once can reach.
const REQUESTS: RangeInclusive<u32> = 1..=10_000;
/// With nothing left for us nothing would ever be sent.
const RESERVE: RangeInclusive<u32> = 0..=90;
const REQUEST_TIMEOUT: RangeInclusive<Duration> =
    Duration::from_secs(1)..=Duration::from_secs(5 * 60);
/// Shorter pauses would hammer LaunchDarkly; longer ones look like a stand-still.
const RETRY: RangeInclusive<Duration> = Duration::from_millis(10)..=Duration::from_secs(10 * 60);
const PROBE_INTERVAL: RangeInclusive<Duration> =
    Duration::from_secs(1)..=Duration::from_secs(10 * 60);
/// More often would take requests from people; more rarely would leave a mended metric unseen.
const CHECK_INTERVAL: RangeInclusive<Duration> =
    Duration::from_secs(10)..=Duration::from_secs(12 * 3_600);
const REREAD: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(10 * 60);
const MAX_RUN: RangeInclusive<u32> = 1..=1_000_000;
/// Percent; more than all of them is never refused.
const MAX_SHARE: RangeInclusive<u32> = 1..=100;
/// A share of fewer is chance; what is remembered of more is not worth its memory.
const WINDOW: RangeInclusive<u32> = 10..=100_000;
/// Each probe may be a dead letter.
const GUARD_PROBE_INTERVAL: RangeInclusive<Duration> =
    Duration::from_secs(1)..=Duration::from_secs(60 * 60);
/// From the smallest batch to what no sensible host has.
const IN_FLIGHT: RangeInclusive<usize> = 1_000..=64_000_000_000;
const COMMIT_INTERVAL: RangeInclusive<Duration> =
    Duration::from_millis(50)..=Duration::from_secs(60);
const DRAIN_DEADLINE: RangeInclusive<Duration> =
    Duration::from_secs(1)..=Duration::from_secs(4 * 60);

/// Kafka's own bound on a topic's name.
const LONGEST_TOPIC: usize = 249;

pub(super) fn unmatched(root: &Section<'_>) -> Unmatched {
    let options = [("ignore", Unmatched::Ignore), ("dead_letter", Unmatched::DeadLetter)];
    root.review.note_default("unmatched", "ignore");
    root.choice("unmatched", &options).unwrap_or(Unmatched::Ignore)
}

pub(super) fn commit_interval(root: &Section<'_>) -> Duration {
    root.duration("commit_interval", Duration::from_secs(1), &COMMIT_INTERVAL)
}

pub(super) fn drain_deadline(root: &Section<'_>) -> Duration {
    root.duration("drain_deadline", Duration::from_secs(20), &DRAIN_DEADLINE)
}

/// With `links`, it is remembered of which traces the records of a batch are.
pub(super) fn batch(root: &Section<'_>, links: bool) -> BatchSettings {
    let section = root.section("batch", keys::BATCH);
    BatchSettings {
        max_events: section.count("max_events", 5_000, &MAX_EVENTS),
        max_bytes: section.size("max_bytes", 8_000_000, &MAX_BYTES),
        linger: section.duration("linger", Duration::from_secs(1), &LINGER),
        links,
    }
}

pub(super) fn segments(root: &Section<'_>) -> CoalesceSettings {
    let section = root.section("segments", keys::SEGMENTS);
    let max_parts = section.count("max_members", 1_000, &MAX_MEMBERS);
    CoalesceSettings {
        max_parts: usize::try_from(max_parts).unwrap_or(usize::MAX),
        linger: section.duration("linger", Duration::from_secs(1), &LINGER),
    }
}

pub(super) fn delivery(root: &Section<'_>) -> DeliverySettings {
    let section = root.section("delivery", keys::DELIVERY);
    let concurrency = section.count("concurrency", 8, &CONCURRENCY);
    let settings = DeliverySettings {
        concurrency: usize::try_from(concurrency).unwrap_or(usize::MAX),
        gzip: section.flag("gzip", true),
        requests_per_second: requests(&section, "requests_per_second"),
        burst: requests(&section, "burst"),
        reserve_percent: section.percent("reserve", 20, &RESERVE),
        request_timeout: section.duration(
            "request_timeout",
            Duration::from_secs(30),
            &REQUEST_TIMEOUT,
        ),
        retry_initial: section.duration("retry_initial", Duration::from_millis(200), &RETRY),
        retry_max: section.duration("retry_max", Duration::from_secs(60), &RETRY),
        probe_interval: section.duration(
            "probe_interval",
            Duration::from_secs(15),
            &PROBE_INTERVAL,
        ),
        retry_for: None,
        priority: 1,
    };
    if settings.burst.is_some() && settings.requests_per_second.is_none() {
        root.review.mistake(
            &section.at("burst"),
            "has no meaning without delivery.requests_per_second",
            "give both, or neither",
        );
    }
    let (initial, max) = (section.at("retry_initial"), section.at("retry_max"));
    if settings.retry_initial > settings.retry_max && are_sound(root, &[&initial.key, &max.key]) {
        root.review.mistake(
            &initial,
            "is longer than delivery.retry_max",
            "make the first pause the shorter one",
        );
    }
    settings
}

fn requests(section: &Section<'_>, name: &str) -> Option<NonZeroU32> {
    section.get(name)?;
    NonZeroU32::new(section.count(name, 1, &REQUESTS))
}

pub(super) fn checks(root: &Section<'_>) -> CheckSettings {
    let section = root.section("checks", keys::CHECKS);
    CheckSettings {
        enabled: section.flag("enabled", true),
        interval: section.duration("interval", Duration::from_secs(5 * 60), &CHECK_INTERVAL),
        reread: section.duration("reread", Duration::from_secs(10), &REREAD),
    }
}

pub(super) fn dead_letter(root: &Section<'_>) -> DeadLetterSettings {
    let section = root.section("dead_letter", keys::DEAD_LETTER);
    let topic = section.text("topic");
    if let Some(topic) = topic {
        check_topic(&section, topic);
    }
    root.review.note_default("dead_letter.topic", "ldsink.dead-letters");
    DeadLetterSettings {
        topic: topic.map_or("ldsink.dead-letters", |scalar| &scalar.text).to_owned(),
        create: section.flag("create", true),
        guard: guard(&section),
    }
}

fn guard(dead_letter: &Section<'_>) -> GuardSettings {
    let section = dead_letter.section("guard", keys::GUARD);
    GuardSettings {
        enabled: section.flag("enabled", true),
        max_run: section.count("max_run", 100, &MAX_RUN),
        max_share: section.count("max_share", 50, &MAX_SHARE),
        window: section.count("window", 1_000, &WINDOW),
        probe_interval: section.duration(
            "probe_interval",
            Duration::from_secs(30),
            &GUARD_PROBE_INTERVAL,
        ),
    }
}

/// Checks that a text can name a topic: one topic, no pattern.
pub(super) fn check_topic(section: &Section<'_>, topic: &Scalar) {
    let review = section.review;
    if topic.text.starts_with('^') {
        let problem = format!("{} is a pattern", topic.shown());
        return review.mistake(&topic.at, problem, "name each topic; patterns are not supported");
    }
    if topic.text.len() > LONGEST_TOPIC || matches!(topic.text.as_str(), "." | "..") {
        let problem = format!("{} cannot name a topic", topic.shown());
        return review.mistake(&topic.at, problem, "use up to 249 characters, not just dots");
    }
    check_name(
        review,
        topic,
        is_key_character,
        "Kafka's topics have letters, digits, `.`, `_`, `-`",
    );
}

pub(super) fn limits(root: &Section<'_>, batch: &BatchSettings) -> LimitSettings {
    let section = root.section("limits", keys::LIMITS);
    let limits = LimitSettings {
        in_flight_bytes: section.size("in_flight_bytes", 24_000_000, &IN_FLIGHT),
        partition_in_flight_bytes: section.size(
            "partition_in_flight_bytes",
            12_000_000,
            &IN_FLIGHT,
        ),
    };
    let (all, one) = (section.at("in_flight_bytes"), section.at("partition_in_flight_bytes"));
    if limits.partition_in_flight_bytes > limits.in_flight_bytes
        && are_sound(root, &[&all.key, &one.key])
    {
        root.review.mistake(
            &one,
            "is more than limits.in_flight_bytes, the limit of all partitions together",
            "lower it, or raise the other",
        );
    }
    if batch.max_bytes > limits.partition_in_flight_bytes
        && are_sound(root, &["batch.max_bytes", &one.key])
    {
        root.review.mistake(
            &one,
            "is less than batch.max_bytes, so a full batch would never fit",
            "raise it, or lower the other",
        );
    }
    limits
}

fn are_sound(root: &Section<'_>, keys: &[&str]) -> bool {
    keys.iter().all(|key| root.review.is_sound(key))
}

pub(super) fn admin(root: &Section<'_>) -> AdminSettings {
    let section = root.section("admin", keys::ADMIN);
    let default = SocketAddr::from((Ipv4Addr::LOCALHOST, 9464));
    let listen = section.text("listen").map_or(default, |listen| {
        listen.text.parse().unwrap_or_else(|_| {
            let problem = format!("{} is not an address with a port", listen.shown());
            let remedy = "write numbers, like 127.0.0.1:9464 or 0.0.0.0:9464";
            section.review.mistake(&listen.at, problem, remedy);
            default
        })
    });
    root.review.note_default("admin.listen", default);
    AdminSettings { listen, token: secret::optional(&section, "token", "token_file") }
}

pub(super) fn log(root: &Section<'_>) -> LogSettings {
    let section = root.section("log", keys::LOG);
    let level = section.text("level");
    if let Some(level) = level {
        check_filter(&section, level);
    }
    root.review.note_default("log.level", "info");
    root.review.note_default("log.format", "text");
    let formats = [("text", LogFormat::Text), ("json", LogFormat::Json)];
    LogSettings {
        filter: level.map_or("info", |scalar| &scalar.text).to_owned(),
        format: section.choice("format", &formats).unwrap_or(LogFormat::Text),
    }
}

fn check_filter(section: &Section<'_>, level: &Scalar) {
    if let Some(word) = unknown_level(&level.text) {
        let remedy = if level.is_secret() {
            format!("one of {}", LEVELS.join(", "))
        } else {
            suggestion(word, &LEVELS)
        };
        let problem = format!("{} names no level", level.shown());
        section.review.mistake(&level.at, problem, remedy);
    } else if EnvFilter::builder().parse(&level.text).is_err() {
        let problem = format!("{} is not a log filter", level.shown());
        let remedy = "write a level, or levels by module: info,ldsink::pipeline=debug";
        section.review.mistake(&level.at, problem, remedy);
    }
}
