//! The path on its own: records in, batches and dead letters out, settlements back.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};

use proptest::prelude::{ProptestConfig, any, prop, prop_assert, prop_assert_eq, proptest};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::sync::watch;

use super::*;
use crate::config::Config;
use crate::model::knowledge::{Knowledge, MetricFacts, Question};
use crate::model::outcome::RefusalReason;
use crate::model::progress::{Committed, NextOffset};
use crate::model::record::{NoHeaders, Record};
use crate::pipeline::source::Intake;

/// A path and the far ends of its channels.
pub(super) struct Rig {
    pub(super) path: Path,
    pub(super) guard: Arc<Guard>,
    pub(super) metrics: Metrics,
    pub(super) settle: Sender<Settlement>,
    pub(super) batches: UnboundedReceiver<EventBatch>,
    pub(super) staging: UnboundedReceiver<EventBatch>,
    pub(super) letters: UnboundedReceiver<DeadLetter>,
}

pub(super) const CONFIG: &str = r#"
kafka: { bootstrap_servers: "localhost:9092", group_id: g }
targets:
  production: { access_token: api-1, project: p, environment: production }
  staging: { access_token: api-2, project: p, environment: staging }
routes:
  - name: all
    topics: [t]
    format: json
    metric_event: { target: production, key: k, context: { user: $.row.user }, data: { n: $.row.n } }
  - name: big
    topics: [t]
    format: json
    when: row.n > 100
    metric_event: { target: staging, key: k, context: { user: $.row.user }, value: $.row.n }
batch: { max_events: 3, linger: 1s, max_bytes: 2KB }
limits: { in_flight_bytes: 10KB, partition_in_flight_bytes: 5KB }
commit_interval: 1s
"#;

pub(super) fn rig(config: &str) -> Rig {
    let config = Config::parse(config, "test.yaml", &|_| None).unwrap();
    let metrics = Metrics::new().unwrap();
    let (settle, settlements) = channel();
    let (production, batches) = unbounded_channel();
    let (to_staging, staging) = unbounded_channel();
    let (dead_letters, letters) = unbounded_channel();
    let outlets = Outlets { events: vec![production, to_staging], keyed: Vec::new(), dead_letters };
    let guard = Arc::new(Guard::new(&config.pipeline, Arc::default(), metrics.clone()));
    let path = Path::new(config.pipeline, outlets, settlements, Arc::clone(&guard), &metrics);
    Rig { path, guard, metrics, settle, batches, staging, letters }
}

pub(super) fn zero() -> [Partition; 1] {
    [Partition::new("t", 0)]
}

impl Rig {
    pub(super) fn take_in(&mut self, partition: i32, offset: i64, value: &str, now: Instant) {
        let record = Record {
            topic: "t",
            partition,
            offset,
            timestamp_ms: Some(1_767_225_600_000),
            key: None,
            value: Some(value.as_bytes()),
            headers: &NoHeaders,
        };
        self.path.record(&record, now);
    }

    fn row(&mut self, offset: i64, n: i64, now: Instant) {
        self.take_in(0, offset, &format!(r#"{{"user":"u","n":{n}}}"#), now);
    }

    /// Assigns partitions that were never read before.
    pub(super) fn assign(&mut self, partitions: &[Partition]) {
        let new = |id: &Partition| Committed {
            partition: id.clone(),
            next: None,
            journal: String::new(),
        };
        self.path.assigned(&partitions.iter().map(new).collect::<Vec<_>>());
    }

    /// Lets Kafka confirm everything there is to write, so that what waited for it goes.
    fn confirm(&mut self, partitions: &[Partition], now: Instant) {
        let entries = self.path.progress(partitions);
        self.path.committed(entries, true, now);
    }

    fn flush(&mut self, partitions: &[Partition], now: Instant) {
        self.path.flush(partitions);
        self.confirm(partitions, now);
    }

    pub(super) fn accept(&self, batch: EventBatch) {
        let bytes = batch.bytes();
        let EventBatch { target, partition, epoch, marks, .. } = batch;
        self.settle.send(Settlement::Batch { target, partition, epoch, marks, bytes }).unwrap();
    }

    fn progress(&self) -> Option<i64> {
        let ids = zero();
        let partition = self.path.books.some(&ids).next()?;
        partition.ledger.watermark().map(|next| next.0)
    }
}

#[tokio::test(start_paused = true)]
async fn a_record_for_two_targets_is_settled_when_both_have_it() {
    let mut rig = rig(CONFIG);
    let now = Instant::now();
    rig.assign(&zero());
    for (offset, n) in [(10, 1), (11, 200), (12, 2)] {
        rig.row(offset, n, now);
    }
    rig.flush(&zero(), now);
    let production = rig.batches.try_recv().unwrap();
    let staging = rig.staging.try_recv().unwrap();
    assert_eq!((production.records(), staging.records()), (3, 1));
    rig.accept(production);
    rig.path.turn(now);
    assert_eq!(rig.progress(), Some(11), "11 still owes staging");
    assert!(!rig.path.is_drained(&zero()));
    rig.accept(staging);
    rig.path.turn(now);
    assert_eq!(rig.progress(), Some(13));
    assert!(rig.path.is_drained(&zero()));
    assert_eq!(rig.metrics.records.with_label_values(&["delivered"]).get(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_record_that_one_route_refuses_is_sent_by_none() {
    let mut rig = rig(CONFIG);
    let now = Instant::now();
    rig.assign(&zero());
    // `big` fails on a text, after `all` has already written its event.
    rig.take_in(0, 5, r#"{"user":"u","n":"many"}"#, now);
    rig.row(6, 1, now);
    rig.flush(&zero(), now);
    let batch = rig.batches.try_recv().unwrap();
    assert_eq!((batch.first_offset(), batch.records()), (6, 1), "W2");
    let letter = rig.letters.try_recv().unwrap();
    assert_eq!(letter.refusal.reason, RefusalReason::ExpressionFailed);
    assert_eq!(letter.refusal.route.as_deref(), Some("big"));
    rig.accept(batch);
    rig.path.turn(now);
    assert_eq!(rig.progress(), None, "the dead letter is not acknowledged yet");
    rig.settle.send(Settlement::DeadLetter { slot: letter.slot }).unwrap();
    rig.path.turn(now);
    assert_eq!(rig.progress(), Some(7));
}

#[tokio::test(start_paused = true)]
async fn batches_are_cut_when_full_and_when_they_have_waited() {
    let mut rig = rig(CONFIG);
    let start = Instant::now();
    rig.assign(&zero());
    for offset in 0..4 {
        rig.row(offset, 1, start);
    }
    let soon = rig.path.turn(start).next.unwrap();
    assert!(
        soon < start + Duration::from_millis(50),
        "the batch that is full waits for its commit"
    );
    assert!(rig.batches.try_recv().is_err(), "its edges are not in Kafka yet");
    let commit = rig.path.turn(soon).commit;
    assert_eq!(commit.first().unwrap().next, NextOffset(0));
    rig.path.committed(commit, true, soon);
    assert_eq!(rig.batches.try_recv().unwrap().records(), 3, "full");
    assert_eq!(rig.path.turn(soon).next, Some(start + Duration::from_secs(1)));
    let late = rig.path.turn(start + Duration::from_secs(1)).next.unwrap();
    let commit = rig.path.turn(late).commit;
    rig.path.committed(commit, true, late);
    assert_eq!(rig.batches.try_recv().unwrap().first_offset(), 3, "waited");
}

#[tokio::test(start_paused = true)]
async fn records_of_partitions_that_are_not_ours_are_not_taken() {
    let mut rig = rig(CONFIG);
    let now = Instant::now();
    rig.assign(&zero());
    rig.take_in(9, 1, "{}", now);
    rig.row(5, 1, now);
    rig.flush(&zero(), now);
    assert_eq!(rig.batches.try_recv().unwrap().records(), 1);
    assert!(rig.letters.try_recv().is_err());
}

#[tokio::test(start_paused = true)]
async fn offsets_that_begin_again_are_another_log() {
    let mut rig = rig(CONFIG);
    let now = Instant::now();
    rig.assign(&zero());
    for offset in 0..6 {
        rig.row(offset, 1, now);
    }
    rig.confirm(&zero(), now);
    let old = rig.batches.try_recv().unwrap();
    let second = rig.batches.try_recv().unwrap();
    rig.accept(second);
    rig.path.turn(now);
    // The topic was made anew.
    rig.row(0, 1, now);
    assert!(old.fence.has_fallen(), "what is under way of the old log stops");
    assert_eq!(rig.metrics.offset_resets.get(), 1);
    rig.accept(old);
    rig.flush(&zero(), now);
    let anew = rig.batches.try_recv().unwrap();
    rig.accept(anew);
    rig.path.turn(now);
    assert_eq!(rig.progress(), Some(1), "the new log counts from its own beginning");
}

#[tokio::test(start_paused = true)]
async fn what_is_over_the_limit_is_paused_and_resumed_well_below_it() {
    let mut rig = rig(CONFIG);
    let start = Instant::now();
    let both = [Partition::new("t", 0), Partition::new("t", 1)];
    rig.assign(&both);
    let mut sent = Vec::new();
    let mut turn = Turn::default();
    for offset in 0..200 {
        rig.row(offset, 1, start);
        turn = rig.path.turn(start);
        if !turn.pause.is_empty() {
            break;
        }
    }
    assert_eq!(turn.pause, zero(), "only the partition that is over its own limit");
    rig.confirm(&zero(), start);
    while let Ok(batch) = rig.batches.try_recv() {
        sent.push(batch);
    }
    let records: usize = sent.iter().map(EventBatch::records).sum();
    assert!(records > 20, "what was collected is sent on when its partition is paused");
    let batches = sent.len();
    for batch in sent.drain(..batches * 3 / 4) {
        rig.accept(batch);
    }
    assert!(rig.path.turn(start).resume.is_empty(), "it dwells");
    let later = start + LEAST_PAUSE;
    assert_eq!(rig.path.turn(later).resume, zero());
}

#[tokio::test(start_paused = true)]
async fn a_paused_partition_that_begins_again_is_resumed() {
    let mut rig = rig(CONFIG);
    let start = Instant::now();
    rig.assign(&zero());
    let mut offset = 0;
    while rig.path.turn(start).pause.is_empty() {
        rig.row(offset, 1, start);
        offset += 1;
    }
    rig.row(0, 1, start);
    assert_eq!(rig.path.turn(start + LEAST_PAUSE).resume, zero());
}

#[tokio::test(start_paused = true)]
async fn settlements_and_commits_of_an_earlier_assignment_change_nothing() {
    let mut rig = rig(CONFIG);
    let now = Instant::now();
    rig.assign(&zero());
    rig.row(5, 1, now);
    rig.flush(&zero(), now);
    let old = rig.batches.try_recv().unwrap();
    let old_entry = CommitEntry {
        partition: old.partition.clone(),
        epoch: old.epoch,
        fence: old.fence.clone(),
        next: NextOffset(6),
        journal: String::new(),
        cuts: 9,
    };
    rig.path.revoked(&zero());
    assert!(old_entry.fence.has_fallen(), "it must not be written any more");
    rig.assign(&zero());
    rig.row(5, 1, now);
    rig.flush(&zero(), now);
    rig.accept(old);
    rig.path.turn(now);
    assert_eq!(rig.progress(), None, "W3");
    rig.path.committed(vec![old_entry], true, now);
    let new = rig.batches.try_recv().unwrap();
    rig.accept(new);
    rig.path.turn(now);
    assert_eq!(rig.progress(), Some(6), "an old confirmation does not hide new progress");
}

#[tokio::test(start_paused = true)]
async fn unmatched_records_follow_the_policy() {
    let only_big = CONFIG.replace(
        "    topics: [t]\n    format: json\n    metric",
        "    topics: [other]\n    format: json\n    metric",
    );
    for (policy, letters) in [("ignore", 0), ("dead_letter", 1)] {
        let mut rig = rig(&format!("{only_big}\nunmatched: {policy}\n"));
        let now = Instant::now();
        rig.assign(&zero());
        rig.row(5, 1, now);
        rig.path.turn(now);
        let found = std::iter::from_fn(|| rig.letters.try_recv().ok()).count();
        assert_eq!(found, letters, "{policy}");
        assert_eq!(rig.progress(), (letters == 0).then_some(6), "{policy}");
    }
}

#[tokio::test(start_paused = true)]
async fn tombstones_are_filtered_by_metric_events_and_never_unmatched() {
    let mut rig = rig(&format!("{CONFIG}\nunmatched: dead_letter\n"));
    let now = Instant::now();
    rig.assign(&zero());
    // The second key could be mapped, the third would fail in `when`, the last is no key of fields.
    let keys =
        [None, Some(r#"{"user":"u","n":500}"#), Some(r#"{"id":1,"\ud800":2}"#), Some("order-7")];
    for (key, offset) in keys.into_iter().zip(5..) {
        let record = Record {
            topic: "t",
            partition: 0,
            offset,
            timestamp_ms: Some(1_767_225_600_000),
            key: key.map(str::as_bytes),
            value: None,
            headers: &NoHeaders,
        };
        rig.path.record(&record, now);
    }
    rig.path.turn(now);
    assert!(rig.letters.try_recv().is_err());
    assert_eq!(rig.progress(), Some(9));
    for route in ["all", "big"] {
        let filtered = rig.metrics.filtered.with_label_values(&[route, "tombstone"]).get();
        assert_eq!(filtered, 4, "{route}");
    }
    assert_eq!(rig.metrics.records.with_label_values(&["filtered"]).get(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_record_too_large_for_any_batch_is_dead_lettered_and_the_others_go_on() {
    let mut rig = rig(CONFIG);
    let now = Instant::now();
    rig.assign(&zero());
    rig.row(1, 1, now);
    let huge = format!(r#"{{"user":"u","n":[{}1]}}"#, "1,".repeat(2_000));
    rig.take_in(0, 2, &huge.replace("\"n\"", "\"m\"").replace('}', ",\"n\":1}"), now);
    rig.take_in(0, 3, &format!(r#"{{"user":"{}","n":1}}"#, "u".repeat(3_000)), now);
    rig.row(4, 1, now);
    rig.flush(&zero(), now);
    let letter = rig.letters.try_recv().unwrap();
    assert_eq!((letter.refusal.reason, letter.slot.offset), (RefusalReason::TooLarge, 3));
    assert_eq!(rig.batches.try_recv().unwrap().records(), 3);
}

/// One target counted it before the other one refused it: its replay is for the other one only.
#[tokio::test(start_paused = true)]
async fn a_replayed_record_is_mapped_by_the_routes_that_it_is_still_for() {
    for (only, production, staging, letters) in
        [("big", 0, 1, 0), ("all", 1, 0, 0), ("gone", 0, 0, 1)]
    {
        let mut rig = rig(&format!("{CONFIG}\nunmatched: dead_letter\n"));
        let now = Instant::now();
        rig.assign(&zero());
        let record = crate::model::record::OwnedRecord {
            partition: Partition::new("t", 0),
            offset: 5,
            timestamp_ms: Some(1_767_225_600_000),
            key: None,
            value: Some(br#"{"user":"u","n":500}"#.to_vec()),
            headers: vec![("ldsink.only_routes".to_owned(), Some(only.as_bytes().to_vec()))],
        };
        rig.path.record(&record.lend(), now);
        rig.flush(&zero(), now);
        let sent = |lane: &mut UnboundedReceiver<EventBatch>| {
            std::iter::from_fn(|| lane.try_recv().ok()).map(|batch| batch.records()).sum::<usize>()
        };
        assert_eq!(sent(&mut rig.batches), production, "{only}");
        assert_eq!(sent(&mut rig.staging), staging, "{only}");
        let letter = rig.letters.try_recv().ok();
        assert_eq!(letter.iter().count(), letters, "{only}");
        if let Some(letter) = letter {
            assert_eq!(letter.refusal.reason, RefusalReason::UnknownRoute);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    /// W1, whatever comes and however it is answered: at the end everything taken is settled once,
    /// the progress is past the last record, and no byte is left on the books.
    #[test]
    fn everything_taken_is_settled_and_nothing_is_left(
        rows in prop::collection::vec((0..3_i32, 0..4_u8, any::<bool>()), 1..120),
    ) {
        let mut rig = rig(CONFIG);
        let now = Instant::now();
        let ids: Vec<Partition> = (0..3).map(|n| Partition::new("t", n)).collect();
        rig.assign(&ids);
        let mut offsets: BTreeMap<i32, i64> = BTreeMap::new();
        let mut total = 0;
        let mut parked = Vec::new();
        for (partition, kind, answer) in rows {
            let offset = offsets.entry(partition).or_insert(-1);
            *offset += 1;
            let offset = *offset;
            total += 1;
            let value = [r#"{"user":"u","n":1}"#, r#"{"user":"u","n":500}"#, "{", r#"{"user":""}"#];
            rig.take_in(partition, offset, value[usize::from(kind)], now);
            while let Ok(batch) = rig.batches.try_recv() {
                if answer { rig.accept(batch) } else { parked.push(batch) }
            }
            rig.path.turn(now);
        }
        rig.flush(&ids, now);
        while let Some(batch) =
            parked.pop().or_else(|| rig.batches.try_recv().ok()).or_else(|| rig.staging.try_recv().ok())
        {
            rig.accept(batch);
        }
        while let Ok(letter) = rig.letters.try_recv() {
            rig.settle.send(Settlement::DeadLetter { slot: letter.slot }).unwrap();
        }
        rig.path.turn(now);
        prop_assert!(rig.path.is_drained(&ids));
        for (partition, last) in offsets {
            let id = [Partition::new("t", partition)];
            let entries = rig.path.progress(&id);
            let entry = entries.first().map(|e| (e.next.0, e.journal.as_str()));
            prop_assert_eq!(entry, Some((last + 1, "")));
        }
        let ended: u64 = ["delivered", "filtered", "dead_lettered"]
            .iter()
            .map(|outcome| rig.metrics.records.with_label_values(&[outcome]).get())
            .sum();
        prop_assert_eq!(ended, total);
        prop_assert_eq!(rig.metrics.in_flight_bytes.get(), 0);
    }
}

// === checks ===

/// A path whose first route dead-letters what would not count, and the far ends of its checks.
fn checked_rig(
    edition: u64,
    certain_until: Option<Instant>,
) -> (Rig, watch::Sender<Arc<Knowledge>>, UnboundedReceiver<Question>) {
    let config =
        CONFIG.replacen("    format: json\n", "    format: json\n    checks: dead_letter\n", 1);
    let mut rig = rig(&config);
    let none = Some(Arc::default());
    let known = Knowledge { edition, certain_until, metrics: none, ..Knowledge::default() };
    let (tell, knowledge) = watch::channel(Arc::new(known));
    let (ask, questions) = unbounded_channel();
    let metrics = rig.metrics.clone();
    let mut knowledge = knowledge;
    knowledge.mark_changed();
    rig.path = rig.path.with_checks(vec![Some((knowledge, ask)), None], vec![0, 0], &metrics);
    (rig, tell, questions)
}

fn learn(tell: &watch::Sender<Arc<Knowledge>>, metrics: Vec<MetricFacts>, until: Option<Instant>) {
    tell.send_modify(|known| {
        let known = Arc::make_mut(known);
        known.edition += 1;
        known.certain_until = until;
        known.metrics = Some(Arc::new(Knowledge::by_event_key(metrics)));
    });
}

fn k() -> MetricFacts {
    let (key, event_key) = ("m".to_owned(), "k".to_owned());
    MetricFacts { key, event_key, is_numeric: false, units: None, archived: false }
}

#[tokio::test(start_paused = true)]
async fn what_would_certainly_not_count_is_dead_lettered() {
    let now = Instant::now();
    let (mut rig, tell, _questions) = checked_rig(1, Some(now + Duration::from_secs(10)));
    rig.assign(&zero());
    rig.row(5, 1, now);
    let letter = rig.letters.try_recv().unwrap();
    assert_eq!(letter.refusal.reason, RefusalReason::MetricMissing);
    assert_eq!(letter.refusal.stage.as_str(), "check");
    let counted =
        || rig.metrics.would_not_count.with_label_values(&["all", "metric_missing"]).get();
    assert_eq!(counted(), 1);
    learn(&tell, vec![k()], Some(now));
    rig.path.turn(now);
    rig.row(6, 1, now);
    rig.flush(&zero(), now);
    assert_eq!(rig.batches.try_recv().unwrap().first_offset(), 6);
}

#[tokio::test(start_paused = true)]
async fn records_wait_in_their_order_until_it_is_certain() {
    let now = Instant::now();
    for (metrics, certain, delivered) in [
        (vec![k()], true, 3),
        (Vec::new(), true, 0),
        // LaunchDarkly could not be read: nothing is refused.
        (Vec::new(), false, 3),
    ] {
        let start = now + Duration::from_secs(60);
        let (mut rig, tell, mut questions) = checked_rig(1, Some(now));
        rig.assign(&zero());
        for offset in 5..8 {
            rig.row(offset, 1, start);
        }
        assert_eq!(questions.try_recv().unwrap(), Question::Again);
        assert!(questions.try_recv().is_err(), "it asks once");
        let turn = rig.path.turn(start);
        assert_eq!(turn.pause, zero());
        rig.flush(&zero(), start);
        assert!(rig.batches.try_recv().is_err() && rig.letters.try_recv().is_err());
        assert_eq!(rig.progress(), None);
        assert!(rig.path.is_drained(&zero()), "what is held has not been taken");

        learn(&tell, metrics, certain.then_some(start));
        rig.path.turn(start);
        rig.flush(&zero(), start);
        let sent = rig.batches.try_recv().map_or(0, |batch| batch.records());
        let refused = std::iter::from_fn(|| rig.letters.try_recv().ok()).count();
        assert_eq!((sent, refused), (delivered, 3 - delivered));
        let turn = rig.path.turn(start + LEAST_PAUSE);
        assert_eq!(turn.resume, zero());
        assert_eq!(rig.metrics.records_read.with_label_values(&["t"]).get(), 3);
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_waits_for_ever() {
    let now = Instant::now();
    let start = now + Duration::from_secs(60);
    let (mut rig, tell, _questions) = checked_rig(1, Some(now));
    rig.assign(&zero());
    rig.row(5, 1, start);
    let deadline = rig.path.turn(start).next.unwrap();
    // Another edition that decides nothing does not make it wait longer.
    tell.send_modify(|known| Arc::make_mut(known).edition += 1);
    rig.path.turn(start);
    rig.path.turn(deadline);
    rig.flush(&zero(), start);
    assert_eq!(rig.batches.try_recv().unwrap().first_offset(), 5);
    assert!(rig.letters.try_recv().is_err());
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_is_cut_again_without_the_same_records_is_another_request() {
    let now = Instant::now();
    let config = CONFIG
        .replacen("    format: json\n", "    format: json\n    checks: dead_letter\n", 1)
        .replacen("key: k", "key: $.row.user", 1);
    let start = |journal: Option<(NextOffset, String)>, metrics: Option<Vec<MetricFacts>>| {
        let mut rig = rig(&config);
        let metrics = metrics.map(|metrics| Arc::new(Knowledge::by_event_key(metrics)));
        let known =
            Knowledge { edition: 1, certain_until: Some(now), metrics, ..Knowledge::default() };
        let (_tell, mut knowledge) = watch::channel(Arc::new(known));
        knowledge.mark_changed();
        let (ask, _questions) = unbounded_channel();
        let links = vec![Some((knowledge, ask)), None];
        let counted = rig.metrics.clone();
        rig.path = rig.path.with_checks(links, vec![0, 0], &counted);
        let [partition] = zero();
        let (next, journal) = journal.map_or((None, String::new()), |(n, text)| (Some(n), text));
        rig.path.assigned(&[Committed { partition, next, journal }]);
        for (offset, user) in [(5, "a"), (6, "b"), (7, "a"), (8, "a")] {
            rig.take_in(0, offset, &format!(r#"{{"user":"{user}","n":1}}"#), now);
        }
        rig
    };
    let a = || Some(vec![MetricFacts { event_key: "a".to_owned(), ..k() }]);
    let mut first = start(None, a());
    let entries = first.path.progress(&zero());
    let written = entries.first().map(|entry| (entry.next, entry.journal.clone()));
    first.path.committed(entries, true, now);
    let sent = first.batches.try_recv().unwrap();
    assert_eq!((sent.first_offset(), sent.last_offset(), sent.records()), (5, 8, 3));
    for (metrics, may_repeat) in [(a(), 0), (None, 4)] {
        let mut second = start(written.clone(), metrics);
        second.confirm(&zero(), now);
        let again = second.batches.try_recv().unwrap();
        assert_eq!((again.first_offset(), again.last_offset()), (5, 8));
        let is_same = again.payload_id("production") == sent.payload_id("production");
        assert_eq!(is_same, again.body == sent.body);
        let counted = second.metrics.recovered_records.with_label_values(&["may_repeat"]).get();
        assert_eq!(counted, may_repeat);
    }
}
