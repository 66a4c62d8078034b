//! Halted routes on the path: what is held back, what is let in, and what a drain waits for.

use std::collections::BTreeSet;

use super::tests::{Rig, rig, zero};
use super::*;
use crate::model::outcome::RefusalReason;
use crate::model::record::{NoHeaders, Record};
use crate::pipeline::source::Intake;

const CONFIG: &str = r#"
kafka: { bootstrap_servers: "localhost:9092", group_id: g }
targets:
  production: { access_token: api-1, project: p, environment: production }
  staging: { access_token: api-2, project: p, environment: staging }
routes:
  - name: all
    topics: [t]
    format: json
    metric_event: { target: production, key: k, context: { user: $.row.user } }
  - name: big
    topics: [t]
    format: json
    when: row.n > 100
    metric_event: { target: staging, key: k, context: { user: $.row.user } }
  - name: other
    topics: [o]
    format: json
    metric_event: { target: production, key: k, context: { user: $.row.user } }
batch: { max_events: 100, linger: 1s }
dead_letter: { guard: { max_run: 3, probe_interval: 30s } }
"#;
const INTERVAL: Duration = Duration::from_secs(30);
const GOOD: &str = r#"{"user":"u","n":1}"#;
const BIG: &str = r#"{"user":"u","n":500}"#;
const BAD: &str = "no json";

fn other() -> Partition {
    Partition::new("o", 0)
}

impl Rig {
    fn halted(&self, route: &str, stage: &str) -> i64 {
        self.metrics.route_halted.with_label_values(&[route, stage]).get()
    }

    fn letters(&mut self) -> Vec<i64> {
        std::iter::from_fn(|| self.letters.try_recv().ok()).map(|it| it.slot.offset).collect()
    }

    fn take_other(&mut self, offset: i64, now: Instant) {
        let record = Record {
            topic: "o",
            partition: 0,
            offset,
            timestamp_ms: Some(1_767_225_600_000),
            key: None,
            value: Some(GOOD.as_bytes()),
            headers: &NoHeaders,
        };
        self.path.record(&record, now);
    }

    /// Everything that has been sent, its edges confirmed.
    fn sent(&mut self, now: Instant) -> Vec<EventBatch> {
        let both = [zero()[0].clone(), other()];
        self.path.flush(&both);
        let entries = self.path.progress(&both);
        self.path.committed(entries, true, now);
        let mut sent: Vec<_> = std::iter::from_fn(|| self.batches.try_recv().ok()).collect();
        sent.extend(std::iter::from_fn(|| self.staging.try_recv().ok()));
        sent
    }
}

fn started() -> (Rig, Instant) {
    let mut rig = rig(CONFIG);
    rig.assign(&[zero()[0].clone(), other()]);
    (rig, Instant::now())
}

#[tokio::test(start_paused = true)]
async fn a_topic_that_maps_no_more_is_held_back_and_goes_on_when_it_is_mended() {
    let (mut rig, start) = started();
    for offset in 0..6 {
        rig.take_in(0, offset, BAD, start);
        rig.take_other(offset, start);
    }
    assert_eq!(rig.letters(), [0, 1, 2], "the run is full, and the other topic does not break it");
    assert_eq!((rig.halted("all", "route"), rig.halted("big", "route")), (1, 1));
    assert_eq!((rig.halted("other", "route"), rig.halted("all", "deliver")), (0, 0));
    let turn = rig.path.turn(start);
    assert_eq!(
        (turn.pause, turn.resume),
        (zero().to_vec(), Vec::new()),
        "the other one is read on"
    );
    // What Kafka's client had handed out before.
    rig.take_in(0, 6, GOOD, start);
    assert_eq!(rig.sent(start).iter().map(EventBatch::records).sum::<usize>(), 6);

    // Each probe that is refused is one letter, and what follows waits for another interval.
    for (round, letter) in (1..=3).zip(3..) {
        let now = start + INTERVAL * round;
        rig.path.turn(now);
        assert_eq!(rig.letters(), [letter]);
        rig.path.turn(now + INTERVAL / 2);
        assert_eq!(rig.letters(), [0; 0]);
    }
    // The next one is good. Then there is nothing left of what was kept, and it is read again.
    let now = start + INTERVAL * 4;
    assert_eq!(rig.path.turn(now).resume, zero());
    assert_eq!(rig.halted("all", "route"), 1);
    for offset in 7..16 {
        rig.take_in(0, offset, if offset % 3 == 0 { BIG } else { GOOD }, now);
        rig.path.turn(now);
    }
    assert_eq!(rig.halted("all", "route"), 0, "ten in a row");
    assert_eq!(rig.halted("big", "route"), 1, "too few of them were for this one");
    for offset in 16..30 {
        rig.take_in(0, offset, BIG, now);
    }
    let turn = rig.path.turn(now);
    assert_eq!((turn.pause, rig.halted("big", "route")), (Vec::new(), 0));
    let sent: BTreeSet<i64> = rig
        .sent(now)
        .iter()
        .filter(|batch| batch.target.0 == 0)
        .flat_map(|batch| batch.marks.iter().map(|mark| mark.offset))
        .collect();
    assert_eq!(sent, (6..30).collect(), "in all of this, nothing is lost");
}

#[tokio::test(start_paused = true)]
async fn what_delivery_has_halted_is_let_in_one_at_a_time() {
    let (mut rig, start) = started();
    (0..3).for_each(|_| rig.guard.refused(&[1], start));
    for (offset, row) in [(0, GOOD), (1, BIG), (2, BIG)] {
        rig.take_in(0, offset, row, start);
    }
    assert_eq!(rig.path.turn(start).pause, zero());
    assert!(rig.sent(start).is_empty(), "held back, as its other routes are");
    // Of what goes by, only what is for the halted route is a probe.
    let now = start + INTERVAL;
    rig.path.turn(now);
    let entries = rig.path.progress(&zero());
    rig.path.committed(entries, true, now);
    let probe = rig.staging.try_recv().unwrap();
    assert_eq!((probe.first_offset(), probe.records()), (1, 1), "it does not wait for others");
    assert!(rig.path.turn(now).resume.is_empty(), "one is on its way");
    let all = rig.sent(now);
    assert_eq!(all.iter().map(EventBatch::records).sum::<usize>(), 2, "of the other route");
    all.into_iter().chain([probe]).for_each(|batch| rig.accept(batch));
    rig.guard.passed(&[1], 1, now);
    rig.path.turn(now);
    assert_eq!(rig.sent(now).len(), 2, "the next one at once");
    rig.guard.passed(&[1], 9, now);
    assert_eq!(rig.path.turn(now).resume, zero());
    assert_eq!(rig.halted("big", "deliver"), 0);
}

/// Another target has taken nothing since before: what is owed to it says nothing about the probe.
#[tokio::test(start_paused = true)]
async fn a_probe_that_was_judged_is_followed_by_another_whatever_else_is_under_way() {
    let (mut rig, start) = started();
    rig.take_in(0, 0, BIG, start);
    let (stuck, others): (Vec<_>, Vec<_>) =
        rig.sent(start).into_iter().partition(|batch| batch.target.0 == 1);
    assert_eq!((stuck.len(), others.len()), (1, 1));
    for batch in others {
        rig.accept(batch);
    }
    (0..3).for_each(|_| rig.guard.refused(&[0], start));
    for offset in 1..5 {
        rig.take_in(0, offset, GOOD, start);
    }
    for (round, offset) in (1..4).zip(1..) {
        let now = start + INTERVAL * round;
        rig.path.turn(now);
        let probes = rig.sent(now);
        let places: Vec<i64> = probes.iter().map(EventBatch::first_offset).collect();
        assert_eq!(places, [offset]);
        rig.path.turn(now);
        assert!(rig.sent(now).is_empty(), "one at a time");
        rig.guard.refused(&[0], now);
    }
}

#[tokio::test(start_paused = true)]
async fn a_drain_does_not_wait_for_what_waits_for_a_person() {
    let (mut rig, now) = started();
    for offset in 0..3 {
        rig.take_in(0, offset, GOOD, now);
    }
    let batch = rig.sent(now).pop().unwrap();
    assert!(!rig.path.is_drained(&zero()));
    let (parts, letters) = (vec![batch.clone()], Vec::new());
    rig.settle.send(Settlement::Withheld { parts, letters }).unwrap();
    let withheld = batch.fence.withhold(batch.records());
    rig.path.turn(now);
    assert!(rig.path.is_drained(&zero()));
    drop(withheld);
    assert!(!rig.path.is_drained(&zero()), "it goes on");
}

#[tokio::test(start_paused = true)]
async fn routes_whose_partitions_have_gone_are_forgotten() {
    let (mut rig, now) = started();
    for offset in 0..3 {
        rig.take_in(0, offset, BAD, now);
    }
    (0..3).for_each(|_| rig.guard.refused(&[1, 2], now));
    rig.path.turn(now);
    rig.path.revoked(&zero());
    assert_eq!((rig.halted("all", "route"), rig.halted("big", "deliver")), (0, 0));
    assert_eq!(rig.halted("other", "deliver"), 1, "whose partition is still ours");
    rig.assign(&zero());
    rig.take_in(0, 0, BAD, now);
    let letter = std::iter::from_fn(|| rig.letters.try_recv().ok()).last().unwrap();
    assert_eq!((letter.slot.offset, letter.refusal.reason), (0, RefusalReason::InvalidJson));
}

#[tokio::test(start_paused = true)]
async fn offsets_that_begin_again_forget_what_was_kept() {
    let (mut rig, start) = started();
    for offset in 0..6 {
        rig.take_in(0, offset, BAD, start);
    }
    rig.take_in(0, 4, GOOD, start);
    assert_eq!(rig.metrics.offset_resets.get(), 1);
    assert_eq!(rig.letters(), [0, 1, 2]);
    let now = start + INTERVAL;
    rig.path.turn(now);
    let sent = rig.sent(now);
    assert_eq!(sent.iter().map(EventBatch::first_offset).collect::<Vec<_>>(), [4]);
}
