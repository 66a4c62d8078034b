//! The path against crashes at any moment: whatever was sent, settled, written or not, LaunchDarkly
//! counts every event once, and none is lost.

use std::collections::{HashMap, HashSet};

use proptest::prelude::{
    Just, ProptestConfig, Strategy, prop, prop_assert, prop_assert_eq, prop_oneof, proptest,
};
use uuid::Uuid;

use super::tests::{CONFIG, Rig, rig, zero};
use super::*;
use crate::model::batch::Split;
use crate::model::fence::Withheld;
use crate::model::outcome::{DeadLetterOrigin, Refusal};
use crate::model::progress::{Committed, NextOffset};
use crate::pipeline::source::Intake;

/// LaunchDarkly, by what its documentation says of repeats: a request is dropped when its ID was
/// seen with the same content. `POISON` is refused.
#[derive(Default)]
struct Account {
    /// What was refused is accepted from now on.
    mended: bool,
    seen: HashMap<(String, Uuid), Vec<u8>>,
    /// Times each event was counted, by target and record.
    counted: HashMap<(String, i64), u32>,
}

/// What outlives a process.
#[derive(Default)]
struct World {
    account: Account,
    committed: Option<(NextOffset, String)>,
    dead: HashSet<i64>,
    /// Requests of processes that have ended, or have lost their partition without knowing it yet.
    late: Vec<EventBatch>,
    /// Records that compaction has removed.
    gone: HashSet<i64>,
}

/// One process, from start to crash.
struct Process {
    rig: Rig,
    now: Instant,
    /// The next record to be read.
    next: i64,
    /// Batches and parts of batches on their way.
    sent: Vec<Sent>,
    letters: Vec<DeadLetter>,
    batches: usize,
    /// What was on its way when the partition was given up: its settlements come late.
    stale: Vec<EventBatch>,
    stale_letters: Vec<DeadLetter>,
    /// Of parts that wait, because a guard has halted their route.
    withheld: HashMap<usize, Withheld>,
}

/// A batch or a part of one.
struct Sent {
    /// Which batch it was once part of.
    of: usize,
    batch: EventBatch,
    /// Records of the same batch that were refused before.
    refused: Vec<EventBatch>,
}

#[derive(Debug, Clone)]
enum Step {
    Read(u8),
    Wait(u8),
    /// LaunchDarkly answers the nth request on its way; the answer gets lost or not.
    Answer {
        which: u8,
        settle: bool,
    },
    /// The lane of the nth request waits with what is left of its batch.
    Withhold(u8),
    /// Kafka acknowledges the nth dead letter.
    Bury(u8),
    /// A commit reaches Kafka; its confirmation gets lost or not.
    Commit {
        confirm: bool,
    },
    /// A request of an earlier process arrives after all.
    Late(u8),
    /// The partition goes to another member, after a last commit or without, and comes back at once.
    Rebalance {
        commit: bool,
    },
    /// Compaction removes a record.
    Compact(u8),
    Crash,
}

const POISON: i64 = 13;
const TARGETS: [&str; 2] = ["production", "staging"];

impl Account {
    /// Gives whether the request is accepted.
    fn import(&mut self, target: &str, batch: &EventBatch) -> bool {
        let poisoned = batch.marks.iter().any(|mark| row_of(mark.offset) == POISON);
        if poisoned && !self.mended {
            return false;
        }
        let (id, body) = (batch.payload_id(target), batch.body.to_vec());
        let known = self.seen.insert((target.to_owned(), id), body.clone());
        if known.is_none_or(|known| known != body) {
            for mark in &batch.marks {
                *self.counted.entry((target.to_owned(), mark.offset)).or_default() += 1;
            }
        }
        true
    }
}

impl World {
    /// Nobody hears the answer, but what was sent goes on being split by who sent it.
    fn arrive_late(&mut self, which: usize) {
        if self.late.is_empty() {
            return;
        }
        let batch = self.late.swap_remove(which % self.late.len());
        if !self.account.import(TARGETS[batch.target.0], &batch)
            && let Split::Halves(head, tail) = batch.split()
        {
            self.late.extend([tail, head]);
        }
    }
}

/// The `n` of a record: what it becomes follows from its offset.
fn row_of(offset: i64) -> i64 {
    [1, 500, 2, 0, 700, POISON, 3, 900, 501, 4, -1][usize::try_from(offset % 11).unwrap()]
}

impl Process {
    fn start(world: &World, config: &str) -> Self {
        let mut rig = rig(config);
        let (next, journal) = match &world.committed {
            Some((next, journal)) => (Some(*next), journal.clone()),
            None => (None, String::new()),
        };
        let [partition] = &zero();
        rig.path.assigned(&[Committed { partition: partition.clone(), next, journal }]);
        let next = next.map_or(0, |n| n.0);
        Self {
            rig,
            now: Instant::now(),
            next,
            sent: Vec::new(),
            letters: Vec::new(),
            batches: 0,
            stale: Vec::new(),
            stale_letters: Vec::new(),
            withheld: HashMap::new(),
        }
    }

    fn collect(&mut self) {
        self.rig.path.turn(self.now);
        let new: Vec<EventBatch> = std::iter::from_fn(|| {
            self.rig.batches.try_recv().or_else(|_| self.rig.staging.try_recv()).ok()
        })
        .collect();
        for batch in new {
            self.batches += 1;
            self.sent.push(Sent { of: self.batches, batch, refused: Vec::new() });
        }
        self.letters.extend(std::iter::from_fn(|| self.rig.letters.try_recv().ok()));
    }

    fn read(&mut self, end: i64, world: &World) {
        if self.next >= end {
            return;
        }
        let (offset, n) = (self.next, row_of(self.next));
        self.next += 1;
        match n {
            // The log has gaps.
            0 => {}
            _ if world.gone.contains(&offset) => {}
            -1 => self.rig.take_in(0, offset, "no json", self.now),
            _ => {
                self.rig.take_in(
                    0,
                    offset,
                    &format!(r#"{{"user":"u{offset}","n":{n}}}"#),
                    self.now,
                );
            }
        }
    }

    fn answer(&mut self, which: usize, settle: bool, world: &mut World) {
        if self.sent.is_empty() {
            return;
        }
        let Sent { of, batch, refused } = self.sent.swap_remove(which % self.sent.len());
        self.withheld.remove(&of);
        if world.account.import(TARGETS[batch.target.0], &batch) {
            if settle {
                self.rig.accept(batch);
            } else {
                // As if time had run out: the same request once more.
                self.sent.push(Sent { of, batch, refused });
            }
            return;
        }
        match batch.split() {
            Split::Halves(head, tail) => {
                let part = |batch| Sent { of, batch, refused: refused.clone() };
                self.sent.extend([part(tail), part(head)]);
            }
            Split::Single(single) => {
                let slot = Slot {
                    partition: single.partition.clone(),
                    epoch: single.epoch,
                    offset: single.first_offset(),
                    bytes: single.bytes(),
                    fence: single.fence.clone(),
                    events_of: Some(single.target),
                    routes: single.routes(),
                    time_ms: single.oldest_ms(),
                    trace: None,
                };
                for other in self.sent.iter_mut().filter(|other| other.of == of) {
                    other.refused.push(single.clone());
                }
                self.letters.push(DeadLetter {
                    origin: DeadLetterOrigin::InKafka { sent: single.body.clone() },
                    refusal: Refusal {
                        reason: crate::model::outcome::RefusalReason::RefusedByLaunchDarkly,
                        stage: crate::model::outcome::Stage::Deliver,
                        route: None,
                        detail: String::new(),
                        status: Some(400),
                        answer: None,
                        attempts: 1,
                    },
                    slot,
                });
            }
        }
    }

    fn withhold(&mut self, which: usize) {
        if self.sent.is_empty() {
            return;
        }
        let at = which % self.sent.len();
        let of = self.sent[at].of;
        let letters = self.sent[at].refused.clone();
        let its = self.sent.iter().filter(|other| other.of == of);
        let parts: Vec<EventBatch> = its.map(|it| it.batch.clone()).collect();
        let records = parts.iter().map(EventBatch::records).sum();
        self.withheld.insert(of, parts[0].fence.withhold(records));
        self.rig.settle.send(Settlement::Withheld { parts, letters }).unwrap();
    }

    fn bury(&mut self, which: usize, world: &mut World) {
        if self.letters.is_empty() {
            return;
        }
        let letter = self.letters.swap_remove(which % self.letters.len());
        world.dead.insert(letter.slot.offset);
        self.rig.settle.send(Settlement::DeadLetter { slot: letter.slot }).unwrap();
    }

    fn commit(&mut self, confirm: bool, world: &mut World) {
        let entries = self.rig.path.progress(&zero());
        if let Some(entry) = entries.first() {
            world.committed = Some((entry.next, entry.journal.clone()));
        }
        self.rig.path.committed(entries, confirm, self.now);
    }

    fn rebalance(&mut self, commit: bool, world: &mut World) {
        self.rig.path.close(&zero());
        self.collect();
        if commit {
            self.commit(true, world);
            self.collect();
        }
        self.rig.path.revoked(&zero());
        self.withheld.clear();
        self.stale.extend(self.sent.drain(..).map(|sent| sent.batch));
        self.stale_letters.append(&mut self.letters);
        let [partition] = zero();
        let (next, journal) = world.committed.clone().unzip();
        self.next = next.map_or(0, |next| next.0);
        let journal = journal.unwrap_or_default();
        self.rig.path.assigned(&[Committed { partition, next, journal }]);
    }

    /// Answers to what was sent before a rebalance: they change nothing.
    fn settle_late(&mut self, world: &mut World) {
        if let Some(batch) = self.stale.pop() {
            world.late.push(batch.clone());
            self.rig.accept(batch);
        }
        if let Some(letter) = self.stale_letters.pop() {
            world.dead.insert(letter.slot.offset);
            self.rig.settle.send(Settlement::DeadLetter { slot: letter.slot }).unwrap();
        }
    }

    /// Takes one step. Gives whether the process goes on.
    fn step(&mut self, step: &Step, end: i64, world: &mut World) -> bool {
        match step {
            Step::Read(records) => (0..*records).for_each(|_| self.read(end, world)),
            Step::Wait(tenths) => self.now += Duration::from_millis(u64::from(*tenths) * 100),
            Step::Answer { which, settle } => self.answer(usize::from(*which), *settle, world),
            Step::Withhold(which) => self.withhold(usize::from(*which)),
            Step::Bury(which) => self.bury(usize::from(*which), world),
            Step::Commit { confirm } => self.commit(*confirm, world),
            Step::Late(which) => {
                world.arrive_late(usize::from(*which));
                self.settle_late(world);
            }
            Step::Rebalance { commit } => self.rebalance(*commit, world),
            Step::Compact(offset) => drop(world.gone.insert(i64::from(*offset))),
            Step::Crash => {
                world.late.extend(self.sent.drain(..).map(|sent| sent.batch));
                world.late.append(&mut self.stale);
                return false;
            }
        }
        self.collect();
        true
    }

    /// Brings everything to its end. Gives whether it came there.
    fn finish(&mut self, end: i64, world: &mut World) -> bool {
        for _ in 0..400 {
            self.read(end, world);
            self.now += Duration::from_millis(200);
            self.collect();
            self.commit(true, world);
            self.collect();
            while !self.sent.is_empty() {
                self.answer(0, true, world);
            }
            while !self.letters.is_empty() {
                self.bury(0, world);
            }
        }
        self.collect();
        self.commit(true, world);
        self.rig.path.is_drained(&zero())
    }
}

/// Runs processes one after the other, each with the next of the configurations, and brings the last
/// one to its end.
fn live(steps: &[Step], end: i64, configs: &[String]) -> (World, Process, bool) {
    let mut world = World::default();
    let mut starts = 0;
    let mut process = Process::start(&world, &configs[0]);
    for step in steps {
        if !process.step(step, end, &mut world) {
            starts += 1;
            process = Process::start(&world, &configs[starts % configs.len()]);
        }
    }
    let is_finished = process.finish(end, &mut world);
    world.late.append(&mut process.stale);
    (world, process, is_finished)
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (1..9_u8).prop_map(Step::Read),
        2 => (1..15_u8).prop_map(Step::Wait),
        5 => (0..9_u8, prop::bool::weighted(0.8)).prop_map(|(which, settle)| Step::Answer { which, settle }),
        2 => (0..9_u8).prop_map(Step::Bury),
        2 => (0..9_u8).prop_map(Step::Withhold),
        4 => prop::bool::weighted(0.8).prop_map(|confirm| Step::Commit { confirm }),
        1 => (0..9_u8).prop_map(Step::Late),
        1 => Just(Step::Crash),
        1 => prop::bool::ANY.prop_map(|commit| Step::Rebalance { commit }),
    ];
    prop::collection::vec(step, 1..120)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    /// P2 and P3, whatever happens in whatever order, and whatever the batch size is after a restart.
    #[test]
    fn every_event_is_counted_once_whenever_processes_crash(steps in steps(), end in 1..90_i64) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let _time = runtime.enter();
        let sizes = ["max_events: 3", "max_events: 7", "max_events: 1", "max_events: 40"];
        let configs = sizes.map(|size| CONFIG.replace("max_events: 3", size).replace("KB", "MB"));
        let (mut world, process, is_finished) = live(&steps, end, &configs);
        prop_assert!(is_finished, "something is never settled");
        while !world.late.is_empty() {
            world.arrive_late(0);
        }
        let may_repeat = process.rig.metrics.recovered_records.with_label_values(&["may_repeat"]).get();
        prop_assert_eq!(may_repeat, 0);
        for offset in 0..end {
            let n = row_of(offset);
            let wanted = |target| match (target, n) {
                (_, 0 | -1 | POISON) => 0,
                ("staging", n) => u32::from(n > 100),
                _ => 1,
            };
            for target in TARGETS {
                let counted = world.account.counted.get(&(target.to_owned(), offset)).copied();
                prop_assert_eq!(counted.unwrap_or_default(), wanted(target), "{} {}", target, offset);
            }
            prop_assert_eq!(world.dead.contains(&offset), [-1, POISON].contains(&n), "{}", offset);
        }
        let rest = world.committed.map(|(_, journal)| journal).unwrap_or_default();
        prop_assert_eq!(rest, "", "nothing is left to recover");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    /// P2 when the mapping is another one after each restart: what cannot be cut again the same may
    /// count twice, but nothing is lost, and nothing waits for ever.
    #[test]
    fn nothing_is_lost_when_the_mapping_changes_with_every_crash(steps in steps(), end in 1..90_i64) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let _time = runtime.enter();
        let keys = ["key: k", "key: l", "key: m"];
        let configs = keys.map(|key| CONFIG.replace("key: k", key).replace("KB", "MB"));
        let (world, _process, is_finished) = live(&steps, end, &configs);
        prop_assert!(is_finished, "something is never settled");
        for offset in 0..end {
            let n = row_of(offset);
            for (target, wanted) in [("production", n > 0 && n != POISON), ("staging", n > 100)] {
                let counted = world.account.counted.get(&(target.to_owned(), offset)).copied();
                prop_assert_eq!(counted.unwrap_or_default() > 0, wanted, "{} {}", target, offset);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    /// P2 while compaction removes records, at the edges of batches as well: batches that lack a record
    /// cannot be cut again the same, and that is told, but nothing that is there is lost or waits for
    /// ever.
    #[test]
    fn nothing_that_is_left_is_lost_when_records_are_compacted_away(
        steps in steps(),
        compacted in prop::collection::vec((0..120_usize, 0..90_u8), 0..40),
        end in 1..90_i64,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let _time = runtime.enter();
        let mut steps = steps;
        for (at, offset) in compacted {
            steps.insert(at % (steps.len() + 1), Step::Compact(offset));
        }
        let sizes = ["max_events: 3", "max_events: 7", "max_events: 40"];
        let configs = sizes.map(|size| CONFIG.replace("max_events: 3", size).replace("KB", "MB"));
        let (world, process, is_finished) = live(&steps, end, &configs);
        prop_assert!(is_finished, "something is never settled");
        drop(process);
        for offset in (0..end).filter(|offset| !world.gone.contains(offset)) {
            let n = row_of(offset);
            for (target, wanted) in [("production", n > 0 && n != POISON), ("staging", n > 100)] {
                let counted = world.account.counted.get(&(target.to_owned(), offset)).copied();
                prop_assert_eq!(counted.unwrap_or_default() > 0, wanted, "{} {}", target, offset);
            }
            prop_assert_eq!(world.dead.contains(&offset), [-1, POISON].contains(&n), "{}", offset);
        }
    }
}

/// A batch is refused, its head accepted, one record dead-lettered, and its tail waits when the process
/// stops. Then what refused it is mended: only the tail is sent, as the request that it would have been.
#[tokio::test(start_paused = true)]
async fn what_waits_of_a_divided_batch_is_cut_again_alone() {
    let config = CONFIG.replace("max_events: 3", "max_events: 40").replace("KB", "MB");
    let mut world = World::default();
    let mut process = Process::start(&world, &config);
    // 5 is poison, 3 is a gap; all for production.
    process.read(9, &world);
    while process.next < 9 {
        process.read(9, &world);
    }
    process.rig.path.flush(&zero());
    process.commit(true, &mut world);
    process.collect();
    let is_whole = |it: &Sent| it.batch.target.0 == 0;
    let whole = process.sent.iter().position(is_whole).unwrap();
    let whole = process.sent.swap_remove(whole);
    let others = std::mem::replace(&mut process.sent, vec![whole]);
    assert_eq!(process.sent[0].batch.records(), 8);
    // Depth first, head before tail, as the lane does, up to the first record that is refused.
    while process.letters.is_empty() {
        process.answer(process.sent.len() - 1, true, &mut world);
    }
    assert_eq!(process.sent.len(), 2, "what is open of it");
    process.withhold(0);
    process.sent.extend(others);
    while process.sent.len() > 2 {
        process.answer(2, true, &mut world);
    }
    process.bury(0, &mut world);
    process.collect();
    assert!(process.rig.path.is_drained(&zero()));
    process.commit(true, &mut world);
    let waiting: HashSet<Uuid> =
        process.sent.iter().map(|it| it.batch.payload_id("production")).collect();
    assert_eq!(waiting.len(), 2);

    world.account.mended = true;
    let mut process = Process::start(&world, &config);
    assert!(process.finish(9, &mut world));
    let seen = |id: &Uuid| world.account.seen.contains_key(&("production".to_owned(), *id));
    assert!(waiting.iter().all(seen), "the same requests");
    for offset in [0, 1, 2, 4, 6, 7, 8] {
        let counted = world.account.counted[&("production".to_owned(), offset)];
        assert_eq!(counted, 1, "{offset}");
    }
    assert!(!world.account.counted.contains_key(&("production".to_owned(), 5)), "a dead letter");
}
