//! What the pipeline is told: sizes, times and limits of its stages.

use std::num::NonZeroU32;
use std::time::Duration;

use super::route::settings::RouteSettings;
use crate::model::batch::TargetId;
use crate::model::change::Format;
use crate::model::topic::TopicSelector;

/// Everything between Kafka and LaunchDarkly.
#[derive(Debug, Clone)]
pub struct PipelineSettings {
    /// The targets' names.
    pub targets: Vec<String>,
    pub routes: Vec<RouteSettings>,
    pub unmatched: Unmatched,
    pub batch: BatchSettings,
    pub coalesce: CoalesceSettings,
    pub delivery: DeliverySettings,
    pub dead_letter: DeadLetterSettings,
    pub limits: LimitSettings,
    pub checks: CheckSettings,
    /// The longest time settled records stay uncommitted. 50 ms to 1 min.
    pub commit_interval: Duration,
    /// How long a stop or a revocation waits for what is in flight. 1 s to 4 min, below the
    /// consumer's `max.poll.interval.ms` and the orchestrator's grace period.
    pub drain_deadline: Duration,
}

/// What becomes of a record that no route maps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unmatched {
    Ignore,
    DeadLetter,
}

/// When a batch of metric events is cut: whichever comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchSettings {
    /// Events, 1 to 100,000.
    pub max_events: u32,
    /// Uncompressed bytes, 1 KB to 9,900,000: LaunchDarkly takes bodies under 10 MB and does not
    /// say whether before or after compression.
    pub max_bytes: usize,
    /// Time since the first event, 0 s to 5 min.
    pub linger: Duration,
    /// Whether it is remembered of which traces the records are.
    pub links: bool,
}

/// When changes to one segment are cut into a batch: whichever comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CoalesceSettings {
    /// Members in one batch, 1 to 10,000. LaunchDarkly documents no limit; partners send 1,000.
    pub max_parts: usize,
    /// Time since the first waiting change, 0 s to 5 min.
    pub linger: Duration,
}

/// How metric-event requests are made.
#[derive(Debug, Clone, PartialEq)]
pub struct DeliverySettings {
    /// Requests under way at once per target, 1 to 64.
    pub concurrency: usize,
    /// Whether bodies are compressed with gzip, level 1.
    pub gzip: bool,
    /// The user's own limit per token; `None` leaves the pace to LaunchDarkly's answers.
    pub requests_per_second: Option<NonZeroU32>,
    /// Requests at once after a pause; `None` is as many as in a second. 1 to 10,000.
    pub burst: Option<NonZeroU32>,
    /// The part of every limit that LaunchDarkly tells which is left to the account's other users, in
    /// percent. 0 to 90.
    pub reserve_percent: u32,
    /// From sending to the whole answer, 1 s to 5 min.
    pub request_timeout: Duration,
    /// First and longest pause between attempts, before jitter.
    pub retry_initial: Duration,
    pub retry_max: Duration,
    /// How often a halted lane tries whether its fault is mended. 1 s to 10 min.
    pub probe_interval: Duration,
    /// How long one batch is tried, see [`PipelineSettings::retry_for`].
    pub retry_for: Option<Duration>,
    /// The lane's share of turns, see [`PipelineSettings::priority`].
    pub priority: u32,
}

/// How LaunchDarkly is read to tell operations that would have no effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CheckSettings {
    /// Without, nothing is read and nothing is checked.
    pub enabled: bool,
    /// Between two readings, and between two log lines about one mistake. 10 s to 12 h.
    pub interval: Duration,
    /// How long a reading is new enough to refuse a record on its strength; after that a seeming
    /// mistake makes LaunchDarkly read again. 1 s to 10 min.
    pub reread: Duration,
}

/// Where refused records go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetterSettings {
    pub topic: String,
    /// Whether to create the topic when it does not exist.
    pub create: bool,
    pub guard: GuardSettings,
}

/// When a route has too many dead letters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GuardSettings {
    pub enabled: bool,
    /// Refused records in a row that halt it, 1 to 1,000,000.
    pub max_run: u32,
    /// The percentage of the window above which it halts, 1 to 100; 100 is never exceeded.
    pub max_share: u32,
    /// Records that the share is taken of, 10 to 100,000.
    pub window: u32,
    /// Between a probe that was refused and the next one, 1 s to 1 h.
    pub probe_interval: Duration,
}

/// What may be in memory between Kafka and LaunchDarkly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LimitSettings {
    /// Request bodies of all partitions, open and in flight, in bytes.
    pub in_flight_bytes: usize,
    /// The same for one partition.
    pub partition_in_flight_bytes: usize,
}

impl PipelineSettings {
    /// The topics of all routes, each once, in order of first mention.
    pub fn topics(&self) -> Vec<TopicSelector> {
        let mut topics: Vec<TopicSelector> = Vec::new();
        for topic in self.routes.iter().flat_map(|route| &route.topics) {
            if !topics.contains(topic) {
                topics.push(topic.clone());
            }
        }
        topics
    }

    /// How long a lane tries: as long as the most patient of the routes that feed it, because their
    /// operations travel together. `None` is for ever.
    pub fn retry_for(&self, target: TargetId, operation: &str) -> Option<Duration> {
        self.routes
            .iter()
            .map(|route| (&route.operation, route.retry_for))
            .filter(|(its, _)| its.target() == target && its.as_str() == operation)
            .map(|(_, retry_for)| retry_for.unwrap_or(Duration::MAX))
            .max()
            .filter(|longest| *longest < Duration::MAX)
    }

    /// A lane's share of turns when requests wait for each other: the largest of the routes that feed
    /// it, because their operations travel together.
    pub fn priority(&self, target: TargetId, operation: &str) -> u32 {
        let its = |route: &&RouteSettings| {
            route.operation.target() == target && route.operation.as_str() == operation
        };
        self.routes.iter().filter(its).map(|route| route.priority).max().unwrap_or(1)
    }

    /// The formats in use, for the log line at start.
    pub fn formats(&self) -> Vec<&'static str> {
        let used =
            |format: &Format| self.routes.iter().any(|route| route.reading.format == *format);
        Format::ALL.iter().filter(|format| used(format)).map(|format| format.as_str()).collect()
    }
}
