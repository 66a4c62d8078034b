//! Every metric, declared once: its name, type, labels and unit, and what it means.
//!
//! Names are `ldsink_<noun>_<unit>`, counters end in `_total`, times are in seconds and sizes in
//! bytes. Labels are route, target and topic names from the configuration, partition numbers, and words
//! from closed lists: never anything of a record. The meaning is what `/metrics` and the README show.

use prometheus::{
    CounterVec, Gauge, GaugeVec, Histogram, HistogramVec, IntCounter, IntCounterVec, IntGauge,
    IntGaugeVec, Registry,
};

use super::MetricsError;
use super::kinds::{Declaration, Declared, register};

/// From a record that just came to one that waited out an outage.
const LATENCY: &[f64] =
    &[0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3_600.0, 14_400.0];
const REQUEST: &[f64] = &[0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 30.0];
/// `linger` is between none and minutes; behind it a batch may wait for its turn.
const WAIT: &[f64] = &[0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 120.0, 600.0];
/// Up to what a drain may take and a commit does when Kafka is in trouble.
const KAFKA: &[f64] = &[0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 60.0];
const OPERATIONS: &[f64] = &[1.0, 10.0, 50.0, 100.0, 500.0, 1_000.0, 5_000.0, 20_000.0, 100_000.0];
/// Of what is no histogram.
const NO_BUCKETS: &[f64] = &[];
const BYTES: &[f64] = &[1e3, 1e4, 5e4, 1e5, 5e5, 1e6, 5e6, 1e7];

/// Makes the struct and the list of what is declared: `field: type = name [labels] unit, buckets`.
macro_rules! metrics {
    ($(
        $(#[doc = $help:literal])+
        $field:ident: $type:ident = $name:literal [$($label:literal),*] $unit:literal $(, $buckets:ident)?;
    )+) => {
        /// All metrics of a service. Cloning shares them.
        #[derive(Debug, Clone)]
        pub struct Metrics {
            registry: Registry,
            $($(#[doc = $help])+ pub $field: $type,)+
        }

        /// All metrics of ldsink itself, in the order of the README.
        pub const DECLARATIONS: &[Declaration] = &[
            $(declaration!($type $name [$($label),*] $unit concat!($($help),+) $(, $buckets)?),)+
        ];

        impl Metrics {
            pub(super) fn declare(registry: &Registry) -> Result<Self, MetricsError> {
                Ok(Self {
                    registry: registry.clone(),
                    $($field: register(
                        registry,
                        &declaration!($type $name [$($label),*] $unit concat!($($help),+) $(, $buckets)?),
                    )?,)+
                })
            }
        }
    };
}

macro_rules! declaration {
    ($type:ident $name:literal [$($label:literal),*] $unit:literal $help:expr) => {
        declaration!($type $name [$($label),*] $unit $help, NO_BUCKETS)
    };
    ($type:ident $name:literal [$($label:literal),*] $unit:literal $help:expr, $buckets:ident) => {
        Declaration {
            name: concat!("ldsink_", $name),
            kind: <$type as Declared>::KIND,
            labels: &[$($label),*],
            unit: $unit,
            help: $help,
            buckets: $buckets,
        }
    };
}

metrics! {
    // === records ===

    /// Records read from Kafka.
    records_read: IntCounterVec = "records_read_total" ["topic"] "records";
    /// Records by their one outcome: delivered, filtered or dead_lettered.
    records: IntCounterVec = "records_total" ["outcome"] "records";
    /// Records by route and by what became of them on it. A record that several routes read counts for
    /// each of them.
    route_records: IntCounterVec = "route_records_total" ["route", "outcome"] "records";
    /// Changes that a route did not map, by reason.
    filtered: IntCounterVec = "filtered_total" ["route", "reason"] "records";
    /// Records written to the dead-letter topic, by reason.
    dead_letters: IntCounterVec = "dead_letters_total" ["reason"] "records";
    /// Attempts to write a dead letter that failed and are repeated.
    dead_letter_failures: IntCounter = "dead_letter_failures_total" [] "attempts";
    /// Records whose metric events an earlier process may have sent: resent as the same request, skipped
    /// because they were accepted, or may_repeat in another request.
    recovered_records: IntCounterVec = "recovered_records_total" ["result"] "records";

    // === operations ===

    /// Records that a route made operations of.
    operations: IntCounterVec = "operations_total" ["route", "target", "operation"] "records";
    /// Operations by what became of them, delivered or dead_lettered, and the class of the last answer's
    /// status; none where there was no answer.
    operations_ended: IntCounterVec = "operations_ended_total" ["target", "operation", "outcome", "status"] "operations";
    /// Changes to members of segments that records ask for, by the segment's list: added or removed.
    member_changes: IntCounterVec = "member_changes_total" ["route", "list", "change"] "operations";
    /// Operations replaced by a newer one for the same member or metric before they were sent.
    coalesced: IntCounterVec = "coalesced_total" ["target", "operation"] "operations";
    /// Metric definitions that were already as wanted, so that nothing was written.
    unchanged: IntCounterVec = "unchanged_total" ["target"] "operations";
    /// Operations that LaunchDarkly would accept without any effect, by reason.
    would_not_count: IntCounterVec = "would_not_count_total" ["route", "reason"] "operations";
    /// 1 while the checks can read what the target has in LaunchDarkly, else 0.
    checks_known: IntGaugeVec = "checks_known" ["target"] "state";

    // === requests ===

    /// Requests to LaunchDarkly by result, accepted or the class of the error, and the class of the
    /// answer's status; none where there was no answer.
    requests: IntCounterVec = "requests_total" ["target", "operation", "result", "status"] "requests";
    /// From sending a request to its whole answer.
    request_seconds: HistogramVec = "request_duration_seconds" ["target", "operation"] "seconds", REQUEST;
    /// Requests sent whose answer has not come yet.
    requests_in_flight: IntGaugeVec = "in_flight_requests" ["target", "operation"] "requests";
    /// Requests that were repeated, by the class of the error before.
    retries: IntCounterVec = "request_retries_total" ["target", "operation", "class"] "requests";
    /// Operations in a batch when it is first sent.
    batch_operations: HistogramVec = "batch_operations" ["target", "operation"] "operations", OPERATIONS;
    /// Uncompressed bytes of a batch when it is first sent.
    batch_bytes: HistogramVec = "batch_bytes" ["target", "operation"] "bytes", BYTES;
    /// From a batch's first operation until a lane takes it up: it fills, its edges are written to Kafka,
    /// and it waits for its turn.
    batch_wait: HistogramVec = "batch_wait_seconds" ["target", "operation"] "seconds", WAIT;
    /// Refused batches that were split to find the record at fault.
    splits: IntCounterVec = "batch_splits_total" ["target"] "batches";
    /// End to end, from a record's timestamp to LaunchDarkly's acceptance of what it became.
    delivery_latency: HistogramVec = "delivery_latency_seconds" ["target", "operation"] "seconds", LATENCY;
    /// 1 while a lane is stopped by a fault of the configuration, else 0. The cause is credentials when
    /// the token is refused (401, 403), else address.
    lane_halted: IntGaugeVec = "lane_halted" ["target", "operation", "cause"] "state";
    /// 1 while a route is stopped because too many of its records would become dead letters, else 0. The
    /// stage tells whether they are refused by the mapping or by LaunchDarkly.
    route_halted: IntGaugeVec = "route_halted" ["route", "stage"] "state";

    // === pacing ===

    /// Requests per window that LaunchDarkly last told it allows.
    budget_limit: IntGaugeVec = "budget_limit_requests" ["target", "api", "limit"] "requests";
    /// Requests that LaunchDarkly last told are left in the window.
    budget_remaining: IntGaugeVec = "budget_remaining_requests" ["target", "api", "limit"] "requests";
    /// Requests per window that are left to the account's other users.
    budget_reserve: IntGaugeVec = "budget_reserve_requests" ["target", "api", "limit"] "requests";
    /// Requests that may be under way at once.
    concurrency_limit: IntGaugeVec = "concurrency_limit_requests" ["target", "api"] "requests";
    /// Time that requests waited to be sent, by what they waited for.
    throttle_seconds: CounterVec = "throttle_seconds_total" ["target", "api", "cause"] "seconds";
    /// Unix time until which LaunchDarkly asked for a pause, or 0.
    hint_until: GaugeVec = "hint_until_timestamp_seconds" ["target", "api"] "seconds";
    /// 2 while LaunchDarkly does not answer and is only probed, 1 while it comes back, else 0.
    outage: IntGaugeVec = "outage" ["target", "api"] "state";

    // === what is under way ===

    /// Records taken and not yet settled.
    in_flight_records: IntGauge = "in_flight_records" [] "records";
    /// Bytes between Kafka and LaunchDarkly.
    in_flight_bytes: IntGauge = "in_flight_bytes" [] "bytes";
    /// What may be between Kafka and LaunchDarkly before partitions are paused.
    in_flight_limit: IntGauge = "in_flight_limit_bytes" [] "bytes";

    // === partitions ===

    /// Partitions this process reads.
    assigned_partitions: IntGauge = "assigned_partitions" [] "partitions";
    /// Partitions not read at the moment because what is in flight is at its limit.
    paused_partitions: IntGauge = "paused_partitions" [] "partitions";
    /// Records in Kafka past the committed offset, by partition.
    consumer_lag: IntGaugeVec = "consumer_lag_records" ["topic", "partition"] "records";
    /// Age of the oldest record that waits, in Kafka or in flight, by its timestamp; 0 when none waits.
    consumer_lag_seconds: GaugeVec = "consumer_lag_seconds" ["topic", "partition"] "seconds";
    /// For how long the low watermark has stood still although records wait above it; 0 when none waits.
    watermark_age: GaugeVec = "watermark_age_seconds" ["topic", "partition"] "seconds";
    /// Rebalance events by kind: assigned, revoked or lost.
    rebalances: IntCounterVec = "rebalances_total" ["kind"] "events";
    /// Drains by result: finished, or timed_out, whose records are read again.
    drains: IntCounterVec = "drains_total" ["result"] "drains";
    /// What drains took.
    drain_seconds: Histogram = "drain_duration_seconds" [] "seconds", KAFKA;
    /// Offset commits by result: confirmed or failed.
    commits: IntCounterVec = "commits_total" ["result"] "commits";
    /// From asking for a commit to Kafka's word on it.
    commit_seconds: Histogram = "commit_duration_seconds" [] "seconds", KAFKA;
    /// Unix time of the last successful offset commit, or of the start.
    last_commit_seconds: Gauge = "last_commit_timestamp_seconds" [] "seconds";
    /// Partitions whose offsets began again, because the topic was made anew or cut off.
    offset_resets: IntCounter = "offset_resets_total" [] "partitions";

    // === Kafka's client ===

    /// Brokers that the client is connected to.
    kafka_brokers: IntGauge = "kafka_connected_brokers" [] "brokers";
    /// 1 while the process is a member of its consumer group and no rebalance is under way, else 0.
    kafka_group_steady: IntGauge = "kafka_group_steady" [] "state";
    /// The slowest broker's round trip, 99 of 100 requests, over the client's last statistics interval.
    kafka_round_trip: Gauge = "kafka_round_trip_seconds" [] "seconds";
    /// Records that the client has fetched and ldsink has not read.
    kafka_prefetched_records: IntGauge = "kafka_prefetched_records" [] "records";
    /// The memory these records take.
    kafka_prefetched_bytes: IntGauge = "kafka_prefetched_bytes" [] "bytes";
    /// Bytes received from brokers.
    kafka_received_bytes: IntCounter = "kafka_received_bytes_total" [] "bytes";
    /// Trouble with brokers by kind: disconnect, receive, send or timeout.
    kafka_errors: IntCounterVec = "kafka_errors_total" ["kind"] "events";

    // === spans ===

    /// Spans of requests by what became of them: exported, rejected by the collector, failed to be exported,
    /// or queue_full, dropped because too many waited. All 0 unless `traces.endpoint` is set.
    spans: IntCounterVec = "trace_spans_total" ["result"] "spans";

    // === the process ===

    /// 1 while records can flow, as in `/ready`, else 0.
    ready: IntGauge = "ready" [] "state";
    /// Unix time of the consumer loop's last turn.
    last_turn_seconds: Gauge = "last_turn_timestamp_seconds" [] "seconds";
    /// Always 1; what is running.
    build_info: IntGaugeVec = "build_info" ["version"] "state";
}

impl Metrics {
    pub(super) fn registry(&self) -> &Registry {
        &self.registry
    }
}
