//! The real path and the real lanes between a test that plays the consumer thread and a sandbox.
//!
//! Every settlement passes through the test's hands on its way back, so that it can be counted.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use ldsink::config::Config;
use ldsink::launchdarkly::events::{BodyCompression, EventsClient};
use ldsink::launchdarkly::metrics::MetricsClient;
use ldsink::launchdarkly::rest::RestClient;
use ldsink::launchdarkly::segments::SegmentsClient;
use ldsink::model::outcome::{DeadLetter, Refusal};
use ldsink::model::progress::{Committed, Settlement, Slot};
use ldsink::model::record::{Headers, NoHeaders, Partition, Record};
use ldsink::pipeline::deliver::courier::{Courier, LaneReports};
use ldsink::pipeline::deliver::definitions::{self, DefinitionLanes};
use ldsink::pipeline::deliver::events::{self, EventLane};
use ldsink::pipeline::deliver::ordered::OrderedLanes;
use ldsink::pipeline::deliver::pacing::Paces;
use ldsink::pipeline::deliver::segments::{self, SegmentLanes};
use ldsink::pipeline::guard::Guard;
use ldsink::pipeline::path::{Outlets, Path};
use ldsink::pipeline::settings::CoalesceSettings;
use ldsink::pipeline::source::Intake;
use ldsink::runtime::tasks::TaskSet;
use ldsink::telemetry::board::Board;
use ldsink::telemetry::clock;
use ldsink::telemetry::health::Health;
use ldsink::telemetry::metrics::Metrics;
use ldsink::telemetry::traces::{self, Ending, Tracer};
use tokio::runtime::Runtime;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::launchdarkly::LaunchDarkly;

pub(crate) const TOPIC: &str = "t";

/// A configuration up to its routes: one target, `production`, at the sandbox.
pub(crate) fn head(project: &str, url: &str) -> String {
    format!(
        r#"kafka: {{ bootstrap_servers: "localhost:9092", group_id: g }}
targets:
  production:
    access_token: api-sandbox
    project: {project}
    environment: production
    events_url: {url}
    api_url: {url}
routes:"#
    )
}
pub(crate) const PARTITIONS: i32 = 3;
/// Nothing here takes this long; what does is stuck.
const PATIENCE: Duration = Duration::from_secs(30);
/// Batches end when they are flushed, or full.
const LAZY: CoalesceSettings =
    CoalesceSettings { max_parts: 100, linger: Duration::from_secs(3_600) };
/// How often the consumer thread looks up while it waits.
const TURN: Duration = Duration::from_millis(2);

/// A sandbox for all cases of a test, each in a project of its own.
pub(crate) struct House {
    pub(crate) runtime: Runtime,
    pub(crate) sandbox: LaunchDarkly,
}

/// How often a record was settled, each way.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Settled {
    pub(crate) accepted: usize,
    pub(crate) dead: usize,
}

/// A path with its lanes, and the test in the place of Kafka.
pub(crate) struct Rig<'h> {
    pub(crate) house: &'h House,
    pub(crate) health: Arc<Health>,
    pub(crate) metrics: Metrics,
    /// By partition and offset.
    pub(crate) settled: BTreeMap<(i32, i64), Settled>,
    pub(crate) refusals: Vec<Refusal>,
    path: Path,
    from_lanes: Receiver<Settlement>,
    to_path: Sender<Settlement>,
    letters: UnboundedReceiver<DeadLetter>,
    offsets: Vec<i64>,
    tasks: TaskSet,
    abandoned: CancellationToken,
}

// === impl House ===

impl House {
    pub(crate) fn new() -> Self {
        let runtime = Runtime::new().unwrap();
        let sandbox = runtime.block_on(LaunchDarkly::start());
        Self { runtime, sandbox }
    }

    /// The client-side ID of a project's environment, by which partners name it.
    pub(crate) fn client_side_id(&self, project: &str) -> String {
        let path = format!("/sandbox/client-side-ids/{project}/production");
        let told = self.runtime.block_on(self.sandbox.look(&path)).unwrap();
        told["client_side_id"].as_str().unwrap().to_owned()
    }

    /// Begins to export spans if the configuration says so, until the lanes are abandoned.
    fn tracer(
        &self,
        config: &Config,
        metrics: &Metrics,
        (tasks, abandoned): (&TaskSet, &CancellationToken),
    ) -> Tracer {
        let Some(settings) = &config.traces else { return Tracer::default() };
        let (tracer, exporter) = traces::start(settings, metrics).unwrap();
        let (requested, immediate) = (CancellationToken::new(), CancellationToken::new());
        let (drained, deadline) = (abandoned.clone(), PATIENCE);
        let _inside = self.runtime.enter();
        let ending = Ending { requested, drained, immediate, deadline };
        tasks.spawn("spans", exporter.run(ending));
        tracer
    }
}

// === impl Rig ===

impl<'h> Rig<'h> {
    /// Starts the lanes of a configuration with one target. Pauses are as short as they can be.
    pub(crate) fn start(house: &'h House, config: &str, coalesce: CoalesceSettings) -> Self {
        Self::of(house, hasty(config, coalesce))
    }

    fn of(house: &'h House, config: Config) -> Self {
        let (health, metrics) = (Arc::new(Health::default()), Metrics::new().unwrap());
        let (settlements, from_lanes) = channel();
        let (to_path, to_be_applied) = channel();
        let (dead_letters, letters) = unbounded_channel();
        let guard = Arc::new(Guard::new(&config.pipeline, Arc::clone(&health), metrics.clone()));
        let (abandoned, tasks) = (CancellationToken::new(), TaskSet::new(CancellationToken::new()));
        let tracer = house.tracer(&config, &metrics, (&tasks, &abandoned));
        let reports = LaneReports {
            settlements,
            dead_letters: dead_letters.clone(),
            guard: Arc::clone(&guard),
            health: Arc::clone(&health),
            metrics: metrics.clone(),
            board: Board::default(),
            tracer,
        };
        let (target, delivery) = (&config.targets[0], &config.pipeline.delivery);
        let paces = Paces::new(&config.targets, delivery, &metrics, &health);
        let courier = |operation, paces: &[Arc<_>]| {
            let (name, pacing, reports) =
                (target.name.clone(), Arc::clone(&paces[0]), reports.clone());
            Courier::new(name, operation, delivery.clone(), pacing, reports, abandoned.clone())
        };
        let timeout = delivery.request_timeout;
        let client = EventsClient::new(target, BodyCompression::None, timeout).unwrap();
        let rest = RestClient::new(target, timeout, clock::now_ms).unwrap();
        let (segments, definitions) = (SegmentsClient::new(rest.clone()), MetricsClient::new(rest));
        let event_lane = EventLane::new(client, courier(events::OPERATION, &paces.events));
        let of_metrics = courier(definitions::OPERATION, &paces.rest);
        let ordered = Arc::new(OrderedLanes {
            segments: SegmentLanes::new(segments, courier(segments::OPERATION, &paces.rest)),
            definitions: DefinitionLanes::new(definitions, of_metrics),
        });
        let (to_events, batches) = unbounded_channel();
        let (to_ordered, keyed) = unbounded_channel();
        {
            let _inside = house.runtime.enter();
            tasks.spawn("event_lane", Arc::new(event_lane).run(batches, tasks.clone()));
            tasks.spawn("ordered_lanes", ordered.run(keyed, tasks.clone()));
        }
        let outlets = Outlets { events: vec![to_events], keyed: vec![to_ordered], dead_letters };
        let mut path = Path::new(config.pipeline, outlets, to_be_applied, guard, &metrics);
        path.assigned(&(0..PARTITIONS).map(nothing_committed).collect::<Vec<_>>());
        let offsets = vec![0; usize::try_from(PARTITIONS).unwrap()];
        health.beat();
        Self {
            house,
            health,
            metrics,
            settled: BTreeMap::new(),
            refusals: Vec::new(),
            path,
            from_lanes,
            to_path,
            letters,
            offsets,
            tasks,
            abandoned,
        }
    }

    /// Batches end when they are flushed.
    pub(crate) fn lazy(house: &'h House, config: &str) -> Self {
        Self::start(house, config, LAZY)
    }

    /// The same, without attempts that only a slow machine makes.
    pub(crate) fn patient(house: &'h House, config: &str) -> Self {
        let mut config = hasty(config, LAZY);
        config.pipeline.delivery.request_timeout = PATIENCE;
        Self::of(house, config)
    }

    /// Takes in a record. Gives its offset.
    pub(crate) fn record(&mut self, partition: i32, value: &str) -> i64 {
        self.record_with(partition, value, &NoHeaders)
    }

    /// The same with the context of a trace.
    pub(crate) fn traced(&mut self, partition: i32, value: &str, trace: &str) -> i64 {
        let headers = vec![("traceparent".to_owned(), Some(trace.as_bytes().to_vec()))];
        self.record_with(partition, value, &headers)
    }

    fn record_with(&mut self, partition: i32, value: &str, headers: &dyn Headers) -> i64 {
        let next = &mut self.offsets[usize::try_from(partition).unwrap()];
        let offset = *next;
        *next += 1;
        let record = Record {
            topic: TOPIC,
            partition,
            offset,
            timestamp_ms: Some(1_767_225_600_000),
            key: None,
            value: Some(value.as_bytes()),
            headers,
        };
        self.path.record(&record, Instant::now());
        offset
    }

    /// One turn of the consumer thread, which waits a little for a settlement if told to.
    pub(crate) fn turn(&mut self, wait: bool) {
        self.health.beat();
        let first = if wait { self.from_lanes.recv_timeout(TURN).ok() } else { None };
        for settlement in first.into_iter().chain(self.from_lanes.try_iter()) {
            note(&mut self.settled, &settlement);
            self.to_path.send(settlement).unwrap();
        }
        while let Ok(DeadLetter { refusal, slot, .. }) = self.letters.try_recv() {
            self.refusals.push(refusal);
            let settlement = Settlement::DeadLetter { slot };
            note(&mut self.settled, &settlement);
            self.to_path.send(settlement).unwrap();
        }
        let now = Instant::now();
        let turn = self.path.turn(now);
        // Kafka takes every commit at once.
        self.path.committed(turn.commit, true, now);
    }

    /// Turns until something is so.
    #[track_caller]
    pub(crate) fn until(&mut self, what: &str, mut so: impl FnMut(&Self) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !so(self) {
            let ready = self.health.ready();
            assert!(Instant::now() < deadline, "waited for {what}; {ready:?}");
            self.turn(true);
        }
    }

    /// Sends on everything that waits, until every record is settled.
    #[track_caller]
    pub(crate) fn drain(&mut self) {
        self.path.close(&all());
        self.until("every record to be settled", Self::is_drained);
    }

    /// As if they were about to be given up.
    pub(crate) fn close(&mut self) {
        self.path.close(&all());
    }

    /// Requests of a lane with this result, whatever their status.
    pub(crate) fn requests(&self, lane: &str, result: &str) -> u64 {
        let of = |status| ["production", lane, result, status];
        let statuses = ["2xx", "3xx", "4xx", "5xx", "none"].map(of);
        statuses.iter().map(|it| self.metrics.requests.with_label_values(it).get()).sum()
    }

    /// Whether a lane is halted, for one cause.
    pub(crate) fn is_halted(&self, lane: &str) -> bool {
        let causes = ["credentials", "address"].map(|cause| ["production", lane, cause]);
        let halted = causes.map(|labels| self.metrics.lane_halted.with_label_values(&labels).get());
        assert!(halted.iter().sum::<i64>() <= 1, "two causes: {halted:?}");
        halted.contains(&1)
    }

    pub(crate) fn is_drained(&self) -> bool {
        self.path.is_drained(&all())
    }

    pub(crate) fn revoke(&mut self, partition: i32) {
        self.path.revoked(&[Partition::new(TOPIC, partition)]);
    }

    pub(crate) fn assign(&mut self, partition: i32) {
        self.path.assigned(&[nothing_committed(partition)]);
    }

    pub(crate) fn is_settled(&self, partition: i32) -> bool {
        self.path.is_drained(&[Partition::new(TOPIC, partition)])
    }

    /// Ends the lanes, and gives every settlement that came, the very last ones included.
    pub(crate) fn end(mut self) -> BTreeMap<(i32, i64), Settled> {
        self.turn(false);
        self.abandoned.cancel();
        let Self { path, tasks, house, mut settled, from_lanes, mut letters, .. } = self;
        drop(path);
        let failures = house.runtime.block_on(tasks.join());
        assert!(failures.is_empty(), "{failures:?}");
        for settlement in from_lanes.try_iter() {
            note(&mut settled, &settlement);
        }
        assert!(letters.try_recv().is_err(), "a dead letter after the end");
        settled
    }
}

/// The configuration with pauses as short as they can be.
fn hasty(config: &str, coalesce: CoalesceSettings) -> Config {
    let mut config = Config::parse(config, "lanes.yaml", &|_| None).unwrap();
    let delivery = &mut config.pipeline.delivery;
    delivery.retry_initial = Duration::from_millis(1);
    delivery.retry_max = Duration::from_millis(4);
    delivery.probe_interval = Duration::from_millis(2);
    delivery.request_timeout = Duration::from_millis(250);
    config.pipeline.dead_letter.guard.probe_interval = Duration::from_millis(2);
    config.pipeline.coalesce = coalesce;
    config
}

fn all() -> Vec<Partition> {
    (0..PARTITIONS).map(|number| Partition::new(TOPIC, number)).collect()
}

fn nothing_committed(number: i32) -> Committed {
    let partition = Partition::new(TOPIC, number);
    Committed { partition, next: None, journal: String::new() }
}

fn note(settled: &mut BTreeMap<(i32, i64), Settled>, settlement: &Settlement) {
    let place = |slot: &Slot| (slot.partition.number, slot.offset);
    match settlement {
        Settlement::Batch { partition, marks, .. } => {
            for mark in marks {
                settled.entry((partition.number, mark.offset)).or_default().accepted += 1;
            }
        }
        Settlement::DeadLetter { slot } => settled.entry(place(slot)).or_default().dead += 1,
        Settlement::Withheld { .. } | Settlement::Halted { .. } => {}
        Settlement::Keyed { accepted, .. } | Settlement::Accepted { slots: accepted } => {
            for slot in accepted {
                settled.entry(place(slot)).or_default().accepted += 1;
            }
        }
    }
}
