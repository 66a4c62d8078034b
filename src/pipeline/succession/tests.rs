//! Two paths one after the other, without Kafka and LaunchDarkly.

use std::sync::mpsc::{Sender, channel};

use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use super::*;
use crate::config::Config;
use crate::model::batch::EventBatch;
use crate::model::progress::{NextOffset, Settlement};
use crate::model::record::NoHeaders;
use crate::pipeline::guard::Guard;
use crate::pipeline::path::Outlets;
use crate::telemetry::metrics::Metrics;

const CONFIG: &str = r#"
kafka: { bootstrap_servers: "localhost:9092", group_id: g }
targets:
  production: { access_token: api-1, project: p, environment: production }
routes:
  - name: all
    topics: [t]
    format: json
    metric_event: { target: production, key: k, context: { user: $.row.user }, data: { n: $.row.n } }
batch: { max_events: 3, linger: 1s }
commit_interval: 1s
"#;
const PATIENCE: Duration = Duration::from_secs(20);

/// The far ends of a generation.
struct Ends {
    batches: UnboundedReceiver<EventBatch>,
    settle: Sender<Settlement>,
    life: CancellationToken,
}

fn generation(number: u64, config: &str) -> (Generation, Ends) {
    let config = Config::parse(config, "test.yaml", &|_| None).unwrap();
    let metrics = Metrics::new().unwrap();
    let (settle, settlements) = channel();
    let (events, batches) = unbounded_channel();
    let (dead_letters, _) = unbounded_channel();
    let outlets = Outlets { events: vec![events], keyed: Vec::new(), dead_letters };
    let guard = Arc::new(Guard::new(&config.pipeline, Arc::default(), metrics.clone()));
    let path = Path::new(config.pipeline, outlets, settlements, guard, &metrics)
        .in_generation(number, Board::default());
    let life = Life { ended: CancellationToken::new(), health: Arc::default() };
    let ends = Ends { batches, settle, life: life.ended.clone() };
    (Generation { number, path, life }, ends)
}

impl Ends {
    fn accept(&self, batch: EventBatch) {
        let bytes = batch.bytes();
        let EventBatch { target, partition, epoch, marks, .. } = batch;
        self.settle.send(Settlement::Batch { target, partition, epoch, marks, bytes }).unwrap();
    }
}

fn id(number: i32) -> Partition {
    Partition::new("t", number)
}

fn row(intake: &mut Generations, partition: i32, offset: i64, now: Instant) {
    intake.record(
        &Record {
            topic: "t",
            partition,
            offset,
            timestamp_ms: Some(1_767_225_600_000),
            key: None,
            value: Some(br#"{"user":"u","n":1}"#),
            headers: &NoHeaders,
        },
        now,
    );
}

/// Turns, and lets Kafka confirm whatever is to be written.
fn turn(intake: &mut Generations, now: Instant) -> Turn {
    let turn = intake.turn(now);
    if !turn.commit.is_empty() {
        intake.committed(turn.commit.clone(), true, now);
    }
    turn
}

/// A first generation that has two partitions and one record of the first in flight.
fn begun() -> (Generations, Ends, Sender<Generation>, EventBatch, Instant) {
    let (first, mut ends) = generation(1, CONFIG);
    let (successors, next) = channel();
    let mut intake = Generations::new(first, next, PATIENCE, Board::default());
    let new = |number| Committed { partition: id(number), next: None, journal: String::new() };
    intake.assigned(&[new(0), new(1)]);
    let mut now = Instant::now();
    (10..13).for_each(|offset| row(&mut intake, 0, offset, now));
    for _ in 0..4 {
        now += Duration::from_millis(5);
        turn(&mut intake, now);
    }
    let batch = ends.batches.try_recv().unwrap();
    (intake, ends, successors, batch, now)
}

#[tokio::test(start_paused = true)]
async fn each_partition_changes_over_when_what_was_cut_is_settled() {
    let (mut intake, ends, successors, batch, mut now) = begun();
    let (second, mut new) = generation(2, &CONFIG.replace("key: k,", "key: other,"));
    successors.send(second).unwrap();

    let first = turn(&mut intake, now);
    assert_eq!((first.pause, first.resume, first.seek), (vec![id(0)], vec![], vec![]));
    row(&mut intake, 1, 5, now);
    now += Duration::from_secs(3_600);
    for _ in 0..4 {
        now += Duration::from_millis(5);
        assert!(!turn(&mut intake, now).resume.contains(&id(0)), "O2: it is not settled");
    }
    let other = new.batches.try_recv().expect("what is idle goes on at once, with the new mapping");
    assert_eq!((other.partition.number, other.records()), (1, 1));
    assert_ne!(other.fingerprint, batch.fingerprint);

    ends.accept(batch);
    let mut resumed = Turn::default();
    for _ in 0..4 {
        now += Duration::from_millis(5);
        let turn = turn(&mut intake, now);
        assert!(turn.seek.is_empty(), "everything that was read is settled");
        resumed.resume.extend(turn.resume);
    }
    assert_eq!(resumed.resume, [id(0)]);
    assert!(ends.life.is_cancelled(), "nothing is left of the first generation");
    row(&mut intake, 0, 13, now);
    now += Duration::from_secs(2);
    for _ in 0..4 {
        now += Duration::from_millis(5);
        turn(&mut intake, now);
    }
    let next = new.batches.try_recv().unwrap();
    assert_eq!((next.first_offset(), next.fingerprint), (13, other.fingerprint));
    assert_eq!(next.epoch.generation(), 2);
}

#[tokio::test(start_paused = true)]
async fn what_is_cut_again_alike_is_left_to_the_successor_after_a_while() {
    let (mut intake, ends, successors, batch, mut now) = begun();
    let (second, mut new) = generation(2, &CONFIG.replace("linger: 1s", "linger: 2s"));
    successors.send(second).unwrap();
    turn(&mut intake, now);
    assert!(turn(&mut intake, now + PATIENCE / 2).resume.is_empty());
    now += PATIENCE;
    let over = turn(&mut intake, now);
    assert_eq!(over.seek, [(id(0), NextOffset(10))], "it is read again");
    assert_eq!(over.resume, [id(0)]);
    assert!(ends.life.is_cancelled() && batch.fence.has_fallen());
    (10..13).for_each(|offset| row(&mut intake, 0, offset, now));
    let again = new.batches.try_recv().unwrap();
    assert_eq!(again.payload_id("production"), batch.payload_id("production"), "P3");
    assert_eq!(again.body, batch.body);
}

#[tokio::test(start_paused = true)]
async fn a_partition_that_is_taken_away_meanwhile_leaves_nothing_behind() {
    let (mut intake, ends, successors, batch, now) = begun();
    let (second, _new) = generation(2, &CONFIG.replace("key: k,", "key: other,"));
    successors.send(second).unwrap();
    turn(&mut intake, now);
    assert!(!intake.is_drained(&[id(0)]) && intake.is_drained(&[id(1)]));
    intake.revoked(&[id(0), id(1)]);
    assert!(ends.life.is_cancelled() && batch.fence.has_fallen());
    assert!(turn(&mut intake, now).resume.is_empty());
    assert!(intake.leaving.is_empty() && intake.retiring.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_third_configuration_takes_what_waits_for_the_first() {
    let (mut intake, ends, successors, batch, mut now) = begun();
    let (second, _second) = generation(2, &CONFIG.replace("key: k,", "key: other,"));
    let (third, _third) = generation(3, &CONFIG.replace("key: k,", "key: third,"));
    successors.send(second).unwrap();
    turn(&mut intake, now);
    successors.send(third).unwrap();
    turn(&mut intake, now);
    ends.accept(batch);
    for _ in 0..4 {
        now += Duration::from_millis(5);
        turn(&mut intake, now);
    }
    assert!(intake.leaving.is_empty() && intake.retiring.is_empty(), "O4");
    assert_eq!(intake.current.number, 3);
    let generations: Vec<_> =
        intake.current.path.views().iter().map(|view| view.generation).collect();
    assert_eq!(generations, [3, 3]);
}
