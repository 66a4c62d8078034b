//! What the consumer thread asks of the path: partitions come and go, records come in, commits end.
//!
//! Not here: what is done about each (`taking`, `guarding`, `partition`).

use std::time::Duration;

use tokio::time::Instant;

use super::partition::PartitionPath;
use super::{CONFIRMATION_STEP, Path};
use crate::model::progress::{CommitEntry, Committed, Standing};
use crate::model::record::{Partition, Record};
use crate::pipeline::check::Patience;
use crate::pipeline::source::{Intake, Turn};

impl Intake for Path {
    fn assigned(&mut self, committed: &[Committed]) {
        for left in committed {
            let id = &left.partition;
            // Topics are subscribed because routes name them.
            let Some(routes) = self.router.topic(&id.topic) else { continue };
            let read = self.counters.records_read(&id.topic);
            let partition = self.books.open(id.clone(), routes, &self.settings, read);
            if let Some(partition) = partition {
                partition.take_over(left);
            }
        }
    }

    fn record(&mut self, record: &Record<'_>, now: Instant) {
        let Some(partition) = self.books.of_record(record) else {
            tracing::debug!(?record, "record of a partition that is not ours");
            return;
        };
        partition.note_read();
        let is_free = !partition.is_held() && partition.parked.is_empty();
        if is_free && !self.guarding.is_active() {
            return self.take(record, now, Patience::Some);
        }
        if partition.has_kept(record.offset) {
            let id = partition.id().clone();
            self.begin_anew(&id, record.offset);
        }
        if self.keep_if_held(record, now) {
            return;
        }
        let Some(partition) = self.books.of_record(record) else { return };
        if partition.parked.is_empty() {
            self.take(record, now, Patience::Some);
        } else {
            partition.parked.push(record.to_owned(), now);
        }
    }

    fn turn(&mut self, now: Instant) -> Turn {
        let mut turn = Turn::default();
        self.apply_settlements();
        self.guard_turn(now);
        self.take_parked(now);
        self.note_room(now);
        self.cut_due_batches(now);
        self.balance(now, &mut turn);
        self.send_cut();
        self.note_progress(now);
        self.show_load(self.load());
        turn.commit = self.due_commit(now);
        let awaited = self.commits.is_awaited().then(|| now + CONFIRMATION_STEP);
        let parked = self.parked_deadline();
        let commits = self.commits.deadline();
        turn.next = [self.filling.due, self.keyed.deadline(), commits, awaited, parked]
            .into_iter()
            .flatten()
            .min();
        turn
    }

    fn close(&mut self, partitions: &[Partition]) {
        self.books.some(partitions).for_each(PartitionPath::close);
        self.flush(partitions);
    }

    fn is_drained(&self, partitions: &[Partition]) -> bool {
        let halted = |partition: &PartitionPath| self.keyed.halted(partition.id());
        self.books.some(partitions).all(|partition| partition.is_drained(halted(partition)))
    }

    fn await_settlement(&mut self, timeout: Duration, now: Instant) -> Vec<CommitEntry> {
        if let Ok(settlement) = self.settlements.recv_timeout(timeout) {
            self.apply(settlement);
            self.apply_settlements();
            // What waited behind a lane's batch under way goes next; nobody cares for linger now.
            self.keyed.cut_all(&mut self.keyed_cut);
            self.send_cut();
        }
        self.note_progress(now);
        self.due_commit(now)
    }

    fn progress(&mut self, partitions: &[Partition]) -> Vec<CommitEntry> {
        self.books.some_mut(partitions).filter_map(PartitionPath::news).collect()
    }

    fn committed(&mut self, entries: Vec<CommitEntry>, succeeded: bool, now: Instant) {
        self.commits.finish(succeeded, now);
        if !succeeded {
            return;
        }
        for entry in entries {
            // What was committed for an earlier assignment says nothing about the present one.
            if let Some(partition) = self.books.find(&entry.partition, entry.epoch) {
                partition.confirm(entry, &mut self.cut);
            }
        }
        self.send_cut();
    }

    fn standings(&self) -> Vec<Standing> {
        self.books.all().map(PartitionPath::standing).collect()
    }

    fn revoked(&mut self, partitions: &[Partition]) {
        for id in partitions {
            self.books.close(id);
        }
        self.forget_fallen();
        self.guarding.forget_routes(&self.books);
        self.show_load(self.load());
    }
}
