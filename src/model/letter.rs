//! The headers of a dead letter, and those that its record carries when it is replayed.
//!
//! A letter is the original record with these behind the record's own headers, [`REASON`] first. A
//! replayed record carries [`REPLAY_COUNT`], [`FIRST_FAILED_AT`] and, where other routes have taken it
//! before, [`ONLY_ROUTES`].

/// Why it was refused; a [`super::outcome::RefusalReason`]. The first of a letter's headers.
pub const REASON: &str = "ldsink.reason";
pub const DETAIL: &str = "ldsink.detail";
pub const REMEDY: &str = "ldsink.remedy";
pub const STAGE: &str = "ldsink.stage";
/// The routes that refused it, or were to take it, separated by commas.
pub const ROUTE: &str = "ldsink.route";
/// Where the original stands.
pub const TOPIC: &str = "ldsink.topic";
pub const PARTITION: &str = "ldsink.partition";
pub const OFFSET: &str = "ldsink.offset";
/// Requests made for it.
pub const ATTEMPTS: &str = "ldsink.attempts";
/// LaunchDarkly's answer: its HTTP status, and how it begins.
pub const STATUS: &str = "ldsink.status";
pub const ANSWER: &str = "ldsink.answer";
/// When it was refused, this time and the first time.
pub const FAILED_AT: &str = "ldsink.failed_at";
pub const FIRST_FAILED_AT: &str = "ldsink.first_failed_at";
/// Identifies the mapping that its topic had.
pub const MAPPING: &str = "ldsink.mapping";
/// How often it was replayed.
pub const REPLAY_COUNT: &str = "ldsink.replay_count";
/// The routes it is still for, separated by commas: the others have taken it.
pub const ONLY_ROUTES: &str = "ldsink.only_routes";
/// The bytes of its key, value and headers before they were cut to fit into the topic.
pub const SHORTENED_FROM: &str = "ldsink.shortened_from_bytes";
/// Present when the original was gone from Kafka; the value is what was sent to LaunchDarkly.
pub const SUBSTITUTE: &str = "ldsink.substitute";

/// The headers that a replayed record carries.
pub const OF_REPLAYS: [&str; 3] = [REPLAY_COUNT, FIRST_FAILED_AT, ONLY_ROUTES];

/// Separates names of routes.
pub const SEPARATOR: char = ',';
