//! The path of metric events by itself, without Kafka and LaunchDarkly: records in, batches out and
//! accepted, with checks on. For what counts allocations and takes times.

#![allow(dead_code, reason = "each uses its own part of this")]

use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};

use ldsink::config::Config;
use ldsink::model::batch::EventBatch;
use ldsink::model::knowledge::{Knowledge, MetricFacts, Question};
use ldsink::model::progress::{Committed, Settlement};
use ldsink::model::record::{NoHeaders, Partition, Record};
use ldsink::pipeline::guard::Guard;
use ldsink::pipeline::path::{Outlets, Path};
use ldsink::pipeline::source::Intake;
use ldsink::telemetry::metrics::Metrics;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::watch;
use tokio::time::Instant;

/// One partition of one topic, for one target.
pub(crate) struct EventPath {
    path: Path,
    partition: Partition,
    now: Instant,
    batches: UnboundedReceiver<EventBatch>,
    settle: Sender<Settlement>,
    // The far ends of the checks.
    _tell: watch::Sender<Arc<Knowledge>>,
    _questions: UnboundedReceiver<Question>,
}

/// A mapping of four fields, with batches of so many events.
pub(crate) fn config(format: &str, max_events: usize) -> Config {
    let text = format!(
        r#"kafka: {{ bootstrap_servers: "localhost:9092", group_id: g }}
targets:
  production: {{ access_token: api-1, project: p, environment: production }}
batch: {{ max_events: {max_events} }}
routes:
  - name: orders
    topics: [t]
    format: {format}
    metric_event:
      target: production
      key: paid
      context: {{ user: $.row.user_id }}
      value: $.row.total
      time: $.row.created_at
      data: {{ id: $.row.id }}
"#
    );
    Config::parse(&text, "event-path.yaml", &|_| None).unwrap_or_else(|it| panic!("{it}"))
}

/// The record that a value is read as.
pub(crate) fn record(offset: i64, value: &str) -> Record<'_> {
    Record {
        topic: "t",
        partition: 0,
        offset,
        timestamp_ms: Some(1_767_225_600_000),
        key: None,
        value: Some(value.as_bytes()),
        headers: &NoHeaders,
    }
}

impl EventPath {
    pub(crate) fn new(format: &str, max_events: usize) -> Self {
        let config = config(format, max_events);
        let metrics = Metrics::new().unwrap();
        let (settle, settlements) = channel();
        let (events, batches) = unbounded_channel();
        let (dead_letters, _) = unbounded_channel();
        let outlets = Outlets { events: vec![events], keyed: Vec::new(), dead_letters };
        let guard = Arc::new(Guard::new(&config.pipeline, Arc::default(), metrics.clone()));
        let (tell, knowledge) = watch::channel(Arc::new(known()));
        let (ask, questions): (UnboundedSender<_>, _) = unbounded_channel();
        let links = vec![Some((knowledge, ask))];
        let path = Path::new(config.pipeline, outlets, settlements, guard, &metrics);
        let mut path = path.with_checks(links, vec![0], &metrics);
        let partition = Partition::new("t", 0);
        let new = Committed { partition: partition.clone(), next: None, journal: String::new() };
        path.assigned(&[new]);
        let now = Instant::now();
        Self { path, partition, now, batches, settle, _tell: tell, _questions: questions }
    }

    pub(crate) fn take(&mut self, offset: i64, value: &str) {
        self.path.record(&record(offset, value), self.now);
    }

    /// Has Kafka confirm the edges of the batch that is full, so that it is sent.
    pub(crate) fn sent(&mut self) -> EventBatch {
        let entries = self.path.progress(std::slice::from_ref(&self.partition));
        self.path.committed(entries, true, self.now);
        self.batches.try_recv().expect("a full batch is sent")
    }

    /// Has LaunchDarkly accept it, too. Gives how many records it was.
    pub(crate) fn accept(&mut self) -> usize {
        let sent = self.sent();
        let (bytes, records) = (sent.bytes(), sent.records());
        let EventBatch { target, partition, epoch, marks, .. } = sent;
        let accepted = Settlement::Batch { target, partition, epoch, marks, bytes };
        self.settle.send(accepted).unwrap();
        records
    }

    pub(crate) fn turn(&mut self) {
        self.path.turn(self.now);
    }
}

/// One metric that counts every event.
fn known() -> Knowledge {
    let listens = MetricFacts {
        key: "paid".to_owned(),
        event_key: "paid".to_owned(),
        is_numeric: true,
        units: Some(vec!["user".to_owned()]),
        archived: false,
    };
    let metrics = Some(Arc::new(Knowledge::by_event_key(vec![listens])));
    Knowledge { edition: 1, metrics, ..Knowledge::default() }
}
