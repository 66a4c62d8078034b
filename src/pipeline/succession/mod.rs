//! Lets the path of a changed configuration follow that of the one before, partition by partition, at
//! a batch edge and without leaving the group.
//!
//! A partition that changes over is paused; what is open of it is cut, sent and settled under the
//! configuration it was read with, and Kafka is told. Then the new path takes it up, as if another
//! process had had it before. Partitions that are through go on, whatever the others wait for.
//!
//! # Invariants
//! - O1: every partition belongs to one path at a time.
//! - O2: a batch that was cut keeps its mapping until it is settled; it is left to the new path sooner
//!   only where that cuts the same batch again, under the same ID (P3).
//! - O3: a path that is collecting batches of an earlier owner again reads on until it has them.
//! - O4: the newest configuration takes every partition; those before it only end what they began.
//!
//! Not here: what is read and checked of a changed configuration (`app`).

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::path::{Handed, Load, Path};
use super::source::{Intake, Turn};
use crate::model::progress::{CommitEntry, Committed, Standing};
use crate::model::record::{Partition, Record};
use crate::telemetry::board::{Board, PartitionState};
use crate::telemetry::health::Health;

/// How soon one looks again whether a partition is settled that changes over.
const STEP: Duration = Duration::from_millis(5);
/// Between two accounts of the partitions on the board.
const ACCOUNT: Duration = Duration::from_millis(500);

/// A path and what lives as long as it does.
#[derive(Debug)]
pub struct Generation {
    pub number: u64,
    pub path: Path,
    pub life: Life,
}

/// What else belongs to a path's configuration; ends with it.
#[derive(Debug)]
pub struct Life {
    /// Cancelled when nobody waits for this generation's settlements any more.
    pub ended: CancellationToken,
    /// What its lanes report.
    pub health: Arc<Health>,
}

/// A partition that changes over.
#[derive(Debug)]
struct Leaving {
    id: Partition,
    /// Whose it is still.
    from: u64,
    since: Instant,
    is_paused: bool,
    is_late: bool,
}

/// The present configuration's path, and those before that have not ended yet.
#[derive(Debug)]
pub struct Generations {
    current: Generation,
    retiring: Vec<Generation>,
    leaving: Vec<Leaving>,
    successors: Receiver<Generation>,
    /// How long a partition is given to settle, where there is another way.
    patience: Duration,
    board: Board,
    next_account: Option<Instant>,
    /// By partition: the oldest record that is not settled, and since when.
    oldest: HashMap<(String, i32), (i64, Instant)>,
}

impl Drop for Life {
    fn drop(&mut self) {
        self.ended.cancel();
        self.health.retire();
    }
}

impl Generations {
    pub fn new(
        first: Generation,
        successors: Receiver<Generation>,
        patience: Duration,
        board: Board,
    ) -> Self {
        Self {
            current: first,
            retiring: Vec::new(),
            leaving: Vec::new(),
            successors,
            patience,
            board,
            next_account: None,
            oldest: HashMap::new(),
        }
    }

    fn all_mut(&mut self) -> impl Iterator<Item = &mut Generation> {
        self.retiring.iter_mut().chain([&mut self.current])
    }

    fn all(&self) -> impl Iterator<Item = &Generation> {
        self.retiring.iter().chain([&self.current])
    }

    /// Makes the newest configuration the present one.
    fn succeed(&mut self, now: Instant) {
        while let Ok(successor) = self.successors.try_recv() {
            let before = std::mem::replace(&mut self.current, successor);
            let ids = before.path.partitions();
            tracing::info!(
                generation = self.current.number,
                partitions = ids.len(),
                "a changed configuration takes over, each partition at a batch edge"
            );
            let (from, since) = (before.number, now);
            let leave = |id| Leaving { id, from, since, is_paused: false, is_late: false };
            self.leaving.extend(ids.into_iter().map(leave));
            self.retiring.push(before);
        }
    }

    /// Winds up what is left to the paths before, and hands over what is settled.
    fn change_over(&mut self, now: Instant, turn: &mut Turn) {
        for before in &mut self.retiring {
            let its = |leaving: &&Leaving| leaving.from == before.number;
            let ids: Vec<_> = (self.leaving.iter().filter(its))
                .filter(|leaving| !before.path.is_recovering(&leaving.id))
                .map(|leaving| leaving.id.clone())
                .collect();
            before.path.wind_up(&ids);
            let (current, patience) = (&mut self.current, self.patience);
            self.leaving.retain_mut(|leaving| {
                if leaving.from != before.number {
                    return true;
                }
                let winds_up = ids.contains(&leaving.id);
                if !may_go(before, current, leaving, winds_up, now, patience) {
                    if winds_up && !std::mem::replace(&mut leaving.is_paused, true) {
                        turn.pause.push(leaving.id.clone());
                    }
                    return true;
                }
                if let Some(Handed { committed, again, is_paused }) =
                    before.path.hand_over(&leaving.id)
                {
                    turn.seek.extend(again.map(|next| (leaving.id.clone(), next)));
                    current.path.assigned(&[committed]);
                    if is_paused || leaving.is_paused {
                        turn.resume.push(leaving.id.clone());
                    }
                }
                false
            });
        }
        self.retire();
    }

    /// Ends the paths before of which no partition is left.
    fn retire(&mut self) {
        let leaving = &self.leaving;
        self.retiring.retain(|before| {
            let goes_on = leaving.iter().any(|it| it.from == before.number);
            if !goes_on {
                tracing::info!(generation = before.number, "a configuration before has ended");
            }
            goes_on
        });
    }

    /// Tells on the board how far the partitions are.
    fn give_account(&mut self, now: Instant) {
        if self.next_account.is_some_and(|at| at > now) {
            return;
        }
        self.next_account = Some(now + ACCOUNT);
        let mut views: Vec<_> = self.all().flat_map(|one| one.path.views()).collect();
        let mut oldest = HashMap::new();
        for view in &mut views {
            let is_it =
                |it: &&Leaving| it.id.number == view.partition && *it.id.topic == view.topic;
            if self.leaving.iter().any(|it| is_it(&it)) {
                view.state = PartitionState::ChangesOver;
            }
            let Some(offset) = view.oldest_offset else { continue };
            let place = (view.topic.clone(), view.partition);
            let known = self.oldest.get(&place).filter(|(at, _)| *at == offset);
            let since = known.map_or(now, |(_, since)| *since);
            view.waits_seconds = now.saturating_duration_since(since).as_secs();
            oldest.insert(place, (offset, since));
        }
        self.oldest = oldest;
        views.sort_by(|a, b| (&a.topic, a.partition).cmp(&(&b.topic, b.partition)));
        self.board.set_partitions(views);
    }
}

/// Whether a partition may be handed over (O2).
fn may_go(
    before: &mut Generation,
    current: &Generation,
    leaving: &mut Leaving,
    winds_up: bool,
    now: Instant,
    patience: Duration,
) -> bool {
    if winds_up && before.path.is_wound_up(&leaving.id) {
        return true;
    }
    if now.saturating_duration_since(leaving.since) < patience {
        return false;
    }
    if before.path.maps_alike(&current.path, &leaving.id.topic) {
        return true;
    }
    if !std::mem::replace(&mut leaving.is_late, true) {
        tracing::warn!(
            partition = %leaving.id,
            "what was read under the configuration before is not settled yet; the partition waits for it, so \
             that nothing is counted twice"
        );
    }
    false
}

impl Intake for Generations {
    fn assigned(&mut self, committed: &[Committed]) {
        self.current.path.assigned(committed);
    }

    fn record(&mut self, record: &Record<'_>, now: Instant) {
        let is_it =
            |it: &&Leaving| it.id.number == record.partition && &*it.id.topic == record.topic;
        // Mostly nothing is leaving.
        let from = self.leaving.iter().find(is_it).map(|it| it.from);
        let before = from.and_then(|from| self.retiring.iter_mut().find(|it| it.number == from));
        before.map_or(&mut self.current.path, |before| &mut before.path).record(record, now);
    }

    fn turn(&mut self, now: Instant) -> Turn {
        self.succeed(now);
        let mut whole = Turn::default();
        self.change_over(now, &mut whole);
        let mut load = Load::default();
        for one in self.retiring.iter_mut().chain([&mut self.current]) {
            let turn = one.path.turn(now);
            let is_ours =
                |id: &Partition| !self.leaving.iter().any(|it| it.is_paused && it.id == *id);
            whole.pause.extend(turn.pause.into_iter().filter(is_ours));
            whole.resume.extend(turn.resume.into_iter().filter(is_ours));
            whole.commit.extend(turn.commit);
            whole.next = whole.next.into_iter().chain(turn.next).min();
            let its = one.path.load();
            load = Load { bytes: load.bytes + its.bytes, records: load.records + its.records };
        }
        // What the new path holds back at once must not be let go after that.
        whole.resume.retain(|id| !whole.pause.contains(id));
        if !self.leaving.is_empty() {
            self.current.path.show_load(load);
            whole.next = whole.next.into_iter().chain([now + STEP]).min();
        }
        self.give_account(now);
        whole
    }

    fn close(&mut self, partitions: &[Partition]) {
        self.all_mut().for_each(|one| one.path.close(partitions));
    }

    fn is_drained(&self, partitions: &[Partition]) -> bool {
        self.all().all(|one| one.path.is_drained(partitions))
    }

    fn await_settlement(&mut self, timeout: Duration, now: Instant) -> Vec<CommitEntry> {
        let paths = u32::try_from(self.retiring.len() + 1).unwrap_or(u32::MAX);
        let each = timeout / paths;
        self.all_mut().flat_map(|one| one.path.await_settlement(each, now)).collect()
    }

    fn progress(&mut self, partitions: &[Partition]) -> Vec<CommitEntry> {
        self.all_mut().flat_map(|one| one.path.progress(partitions)).collect()
    }

    fn committed(&mut self, entries: Vec<CommitEntry>, succeeded: bool, now: Instant) {
        for one in self.all_mut() {
            let number = one.number;
            let is_its = |entry: &&CommitEntry| entry.epoch.generation() == number;
            let its: Vec<_> = entries.iter().filter(is_its).cloned().collect();
            if !its.is_empty() {
                one.path.committed(its, succeeded, now);
            }
        }
    }

    fn standings(&self) -> Vec<Standing> {
        self.all().flat_map(|one| one.path.standings()).collect()
    }

    fn revoked(&mut self, partitions: &[Partition]) {
        self.all_mut().for_each(|one| one.path.revoked(partitions));
        self.leaving.retain(|it| !partitions.contains(&it.id));
        self.retire();
        self.next_account = None;
    }
}

#[cfg(test)]
mod tests;
