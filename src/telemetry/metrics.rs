//! Every metric, declared once: name, help, labels. The only file that names `prometheus`.
//!
//! Names are `ldsink_<noun>_<unit>`, counters end in `_total`, times are in seconds and sizes in
//! bytes. Labels are route and target names from the configuration, and words from closed lists.

use prometheus::{
    CounterVec, Encoder, Gauge, GaugeVec, HistogramOpts, HistogramVec, IntCounter, IntCounterVec,
    IntGauge, IntGaugeVec, Opts, Registry, TextEncoder,
};

/// A single labelled counter, resolved once and moved often.
pub type Counter = IntCounter;
/// A single gauge.
pub type LevelGauge = IntGauge;

/// From a record that just came to one that waited out an outage.
const LATENCY_BUCKETS: [f64; 14] =
    [0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3_600.0, 14_400.0];
const REQUEST_BUCKETS: [f64; 11] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 30.0];
const BATCH_EVENTS_BUCKETS: [f64; 9] =
    [1.0, 10.0, 50.0, 100.0, 500.0, 1_000.0, 5_000.0, 20_000.0, 100_000.0];
const BATCH_BYTES_BUCKETS: [f64; 8] = [1e3, 1e4, 5e4, 1e5, 5e5, 1e6, 5e6, 1e7];

/// All metrics of a service. Cloning shares them.
#[derive(Debug, Clone)]
pub struct Metrics {
    registry: Registry,
    /// Records read, by topic.
    pub records_read: IntCounterVec,
    /// Records by their one outcome: delivered, filtered, dead_lettered.
    pub records: IntCounterVec,
    /// What routes made of records: operations, and why not.
    pub operations: IntCounterVec,
    pub coalesced: IntCounter,
    pub unchanged: IntCounter,
    pub filtered: IntCounterVec,
    pub would_not_count: IntCounterVec,
    pub checks_known: IntGaugeVec,
    pub dead_letters: IntCounterVec,
    pub requests: IntCounterVec,
    pub request_seconds: HistogramVec,
    pub retries: IntCounterVec,
    pub batch_events: HistogramVec,
    pub batch_bytes: HistogramVec,
    pub delivery_latency: HistogramVec,
    pub splits: IntCounterVec,
    pub in_flight_bytes: IntGauge,
    pub in_flight_records: IntGauge,
    pub assigned_partitions: IntGauge,
    pub paused_partitions: IntGauge,
    pub lane_halted: IntGaugeVec,
    pub route_halted: IntGaugeVec,
    pub budget_limit: IntGaugeVec,
    pub budget_remaining: IntGaugeVec,
    pub budget_reserve: IntGaugeVec,
    pub concurrency_limit: IntGaugeVec,
    pub throttle_seconds: CounterVec,
    pub hint_until: GaugeVec,
    pub outage: IntGaugeVec,
    pub commits: IntCounterVec,
    pub rebalances: IntCounterVec,
    pub drain_timeouts: IntCounter,
    pub offset_resets: IntCounter,
    pub recovered_records: IntCounterVec,
    pub consumer_lag: IntGaugeVec,
    pub dead_letter_failures: IntCounter,
    pub last_commit_seconds: Gauge,
}

/// A metric could not be declared: two of one name, or a malformed one.
#[derive(Debug, thiserror::Error)]
#[error("a metric cannot be registered")]
pub struct MetricsError(#[from] prometheus::Error);

/// Declares metrics one after another.
struct Declare(Registry);

impl Metrics {
    /// Declares all metrics in a registry of their own.
    pub fn new() -> Result<Self, MetricsError> {
        let declare = Declare(Registry::new());
        let metrics = Self::declare(&declare)?;
        declare.build_info()?;
        #[cfg(target_os = "linux")]
        declare
            .0
            .register(Box::new(prometheus::process_collector::ProcessCollector::for_self()))?;
        Ok(metrics)
    }

    #[expect(clippy::too_many_lines, reason = "a table, one metric after another")]
    fn declare(d: &Declare) -> Result<Self, MetricsError> {
        Ok(Self {
            registry: d.0.clone(),
            records_read: d.counters(
                "records_read_total",
                "Records read from Kafka.",
                &["topic"],
            )?,
            records: d.counters(
                "records_total",
                "Records by their one outcome: delivered, filtered or dead_lettered.",
                &["outcome"],
            )?,
            operations: d.counters(
                "operations_total",
                "Operations made from records.",
                &["route", "operation"],
            )?,
            coalesced: d.counter(
                "coalesced_total",
                "Operations replaced by a newer one for the same member or metric before they were sent.",
            )?,
            unchanged: d.counter(
                "unchanged_total",
                "Metric definitions that were already as wanted, so that nothing was written.",
            )?,
            filtered: d.counters(
                "filtered_total",
                "Changes that a route did not map, by reason.",
                &["route", "reason"],
            )?,
            would_not_count: d.counters(
                "would_not_count_total",
                "Operations that LaunchDarkly would accept without any effect, by reason.",
                &["route", "reason"],
            )?,
            checks_known: d.gauges(
                "checks_known",
                "1 while the checks can read what the target has in LaunchDarkly, else 0.",
                &["target"],
            )?,
            dead_letters: d.counters(
                "dead_letters_total",
                "Records written to the dead-letter topic, by reason.",
                &["reason"],
            )?,
            requests: d.counters(
                "requests_total",
                "Requests to LaunchDarkly by result: accepted, or the class of the error.",
                &["target", "operation", "result"],
            )?,
            request_seconds: d.histograms(
                "request_duration_seconds",
                "From sending a request to its whole answer.",
                &["target", "operation"],
                &REQUEST_BUCKETS,
            )?,
            retries: d.counters(
                "request_retries_total",
                "Requests that were repeated, by the class of the error before.",
                &["target", "operation", "class"],
            )?,
            batch_events: d.histograms(
                "batch_events",
                "Events in a batch when it is first sent.",
                &["target"],
                &BATCH_EVENTS_BUCKETS,
            )?,
            batch_bytes: d.histograms(
                "batch_bytes",
                "Uncompressed bytes of a batch when it is first sent.",
                &["target"],
                &BATCH_BYTES_BUCKETS,
            )?,
            delivery_latency: d.histograms(
                "delivery_latency_seconds",
                "From the timestamp of a batch's oldest record to LaunchDarkly's acceptance.",
                &["target"],
                &LATENCY_BUCKETS,
            )?,
            splits: d.counters(
                "batch_splits_total",
                "Refused batches that were split to find the record at fault.",
                &["target"],
            )?,
            in_flight_bytes: d.gauge("in_flight_bytes", "Bytes between Kafka and LaunchDarkly.")?,
            in_flight_records: d
                .gauge("in_flight_records", "Records taken and not yet settled.")?,
            assigned_partitions: d
                .gauge("assigned_partitions", "Partitions this process reads.")?,
            paused_partitions: d.gauge(
                "paused_partitions",
                "Partitions not read at the moment because what is in flight is at its limit.",
            )?,
            lane_halted: d.gauges(
                "lane_halted",
                "1 while a lane is stopped by a fault of the configuration, else 0.",
                &["target", "operation"],
            )?,
            route_halted: d.gauges(
                "route_halted",
                "1 while a route is stopped because too many of its records would become dead \
                 letters, else 0. The stage tells whether they are refused by the mapping or by \
                 LaunchDarkly.",
                &["route", "stage"],
            )?,
            budget_limit: d.gauges(
                "budget_limit_requests",
                "Requests per window that LaunchDarkly last told it allows.",
                &["target", "api", "limit"],
            )?,
            budget_remaining: d.gauges(
                "budget_remaining_requests",
                "Requests that LaunchDarkly last told are left in the window.",
                &["target", "api", "limit"],
            )?,
            budget_reserve: d.gauges(
                "budget_reserve_requests",
                "Requests per window that are left to the account's other users.",
                &["target", "api", "limit"],
            )?,
            concurrency_limit: d.gauges(
                "concurrency_limit_requests",
                "Requests that may be under way at once.",
                &["target", "api"],
            )?,
            throttle_seconds: d.float_counters(
                "throttle_seconds_total",
                "Time that requests waited to be sent, by what they waited for.",
                &["target", "api", "cause"],
            )?,
            hint_until: d.float_gauges(
                "hint_until_timestamp_seconds",
                "Unix time until which LaunchDarkly asked for a pause, or 0.",
                &["target", "api"],
            )?,
            outage: d.gauges(
                "outage",
                "2 while LaunchDarkly does not answer and is only probed, 1 while it comes back, else 0.",
                &["target", "api"],
            )?,
            commits: d.counters("commits_total", "Offset commits by result.", &["result"])?,
            rebalances: d.counters("rebalances_total", "Rebalance events by kind.", &["kind"])?,
            drain_timeouts: d.counter(
                "drain_timeouts_total",
                "Drains that did not finish within the deadline; their records are read again.",
            )?,
            offset_resets: d.counter(
                "offset_resets_total",
                "Partitions whose offsets began again, because the topic was made anew or cut off.",
            )?,
            recovered_records: d.counters(
                "recovered_records_total",
                "Records whose metric events an earlier process may have sent: resent as the same \
                 request, skipped because they were accepted, or may_repeat in another request.",
                &["result"],
            )?,
            consumer_lag: d.gauges(
                "consumer_lag_records",
                "Records in Kafka past the committed offset, by partition.",
                &["topic", "partition"],
            )?,
            dead_letter_failures: d.counter(
                "dead_letter_failures_total",
                "Attempts to write a dead letter that failed and are repeated.",
            )?,
            last_commit_seconds: d.float_gauge(
                "last_commit_timestamp_seconds",
                "Unix time of the last successful offset commit, or of the start.",
            )?,
        })
    }

    /// All metrics in Prometheus' text format.
    pub fn render(&self) -> Result<Vec<u8>, MetricsError> {
        let mut text = Vec::new();
        TextEncoder::new().encode(&self.registry.gather(), &mut text)?;
        Ok(text)
    }
}

// === impl Declare ===

impl Declare {
    fn counters(
        &self,
        name: &str,
        help: &str,
        labels: &[&str],
    ) -> Result<IntCounterVec, MetricsError> {
        let metric = IntCounterVec::new(options(name, help), labels)?;
        self.0.register(Box::new(metric.clone()))?;
        Ok(metric)
    }

    fn counter(&self, name: &str, help: &str) -> Result<IntCounter, MetricsError> {
        let metric = IntCounter::with_opts(options(name, help))?;
        self.0.register(Box::new(metric.clone()))?;
        Ok(metric)
    }

    fn gauges(&self, name: &str, help: &str, labels: &[&str]) -> Result<IntGaugeVec, MetricsError> {
        let metric = IntGaugeVec::new(options(name, help), labels)?;
        self.0.register(Box::new(metric.clone()))?;
        Ok(metric)
    }

    fn float_counters(
        &self,
        name: &str,
        help: &str,
        labels: &[&str],
    ) -> Result<CounterVec, MetricsError> {
        let metric = CounterVec::new(options(name, help), labels)?;
        self.0.register(Box::new(metric.clone()))?;
        Ok(metric)
    }

    fn float_gauges(
        &self,
        name: &str,
        help: &str,
        labels: &[&str],
    ) -> Result<GaugeVec, MetricsError> {
        let metric = GaugeVec::new(options(name, help), labels)?;
        self.0.register(Box::new(metric.clone()))?;
        Ok(metric)
    }

    fn gauge(&self, name: &str, help: &str) -> Result<IntGauge, MetricsError> {
        let metric = IntGauge::with_opts(options(name, help))?;
        self.0.register(Box::new(metric.clone()))?;
        Ok(metric)
    }

    fn float_gauge(&self, name: &str, help: &str) -> Result<Gauge, MetricsError> {
        let metric = Gauge::with_opts(options(name, help))?;
        self.0.register(Box::new(metric.clone()))?;
        Ok(metric)
    }

    fn histograms(
        &self,
        name: &str,
        help: &str,
        labels: &[&str],
        buckets: &[f64],
    ) -> Result<HistogramVec, MetricsError> {
        let options = HistogramOpts::from(options(name, help)).buckets(buckets.to_vec());
        let metric = HistogramVec::new(options, labels)?;
        self.0.register(Box::new(metric.clone()))?;
        Ok(metric)
    }

    fn build_info(&self) -> Result<(), MetricsError> {
        let info = self.gauges("build_info", "Always 1; what is running.", &["version"])?;
        info.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        Ok(())
    }
}

fn options(name: &str, help: &str) -> Opts {
    Opts::new(name, help).namespace("ldsink")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_metrics_register_and_render() {
        let metrics = Metrics::new().unwrap();
        metrics.records.with_label_values(&["delivered"]).inc_by(3);
        let text = String::from_utf8(metrics.render().unwrap()).unwrap();
        assert!(text.contains("ldsink_records_total{outcome=\"delivered\"} 3"), "{text}");
        assert!(text.contains("ldsink_build_info{version="), "{text}");
        assert!(text.contains("process_resident_memory_bytes"), "{text}");
    }
}
