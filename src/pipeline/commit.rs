//! Decides when progress is written to Kafka.
//!
//! Commits are made by a thread of their own and confirmed one at a time; meanwhile progress
//! accumulates here. A failed commit loses nothing: the next one writes at least as much.
//!
//! # Invariants
//! - C1: at most one commit is under way.
//! - C2: what is confirmed is never written again unless it has moved on.
//!
//! Not here: the writing itself (`source`), what may be written (`ack`).

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;

use crate::model::progress::{CommitEntry, NextOffset};
use crate::model::record::Partition;

/// Progress waiting to be written.
#[derive(Debug)]
pub struct CommitSchedule {
    interval: Duration,
    pending: HashMap<Partition, CommitEntry>,
    confirmed: HashMap<Partition, NextOffset>,
    /// When the oldest pending progress is to be written.
    due: Option<Instant>,
    under_way: bool,
}

// === impl CommitSchedule ===

impl CommitSchedule {
    pub fn new(interval: Duration) -> Self {
        Self {
            interval,
            pending: HashMap::new(),
            confirmed: HashMap::new(),
            due: None,
            under_way: false,
        }
    }

    /// Notes how far a partition has come.
    pub fn advance(&mut self, entry: CommitEntry, now: Instant) {
        if self.confirmed.get(&entry.partition).is_some_and(|next| *next >= entry.next) {
            return;
        }
        self.due.get_or_insert(now + self.interval);
        self.pending.insert(entry.partition.clone(), entry);
    }

    pub fn deadline(&self) -> Option<Instant> {
        if self.under_way { None } else { self.due }
    }

    /// Gives what is to be written now, or nothing. The caller must report back with
    /// [`Self::finish`].
    pub fn take_due(&mut self, now: Instant) -> Vec<CommitEntry> {
        if self.under_way || self.due.is_none_or(|due| due > now) {
            return Vec::new();
        }
        self.due = None;
        self.under_way = true;
        self.pending.drain().map(|(_, entry)| entry).collect()
    }

    /// Reports how a commit ended.
    pub fn finish(&mut self, entries: Vec<CommitEntry>, succeeded: bool, now: Instant) {
        self.under_way = false;
        for entry in entries {
            if succeeded {
                self.confirmed.insert(entry.partition, entry.next);
            } else if !self.pending.contains_key(&entry.partition) {
                self.due.get_or_insert(now + self.interval);
                self.pending.insert(entry.partition.clone(), entry);
            }
        }
    }

    /// Forgets a partition that is no longer ours.
    pub fn forget(&mut self, partition: &Partition) {
        self.pending.remove(partition);
        self.confirmed.remove(partition);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::progress::Epoch;

    fn entry(next: i64) -> CommitEntry {
        CommitEntry { partition: Partition::new("t", 0), epoch: Epoch(1), next: NextOffset(next) }
    }

    #[tokio::test(start_paused = true)]
    async fn one_commit_at_a_time_and_the_newest_progress_counts() {
        let mut schedule = CommitSchedule::new(Duration::from_secs(1));
        let start = Instant::now();
        schedule.advance(entry(5), start);
        schedule.advance(entry(7), start);
        assert!(schedule.take_due(start).is_empty());
        let later = start + Duration::from_secs(1);
        assert_eq!(schedule.take_due(later), [entry(7)]);
        schedule.advance(entry(9), later);
        assert_eq!(schedule.deadline(), None);
        assert!(schedule.take_due(later + Duration::from_secs(9)).is_empty(), "C1");
        schedule.finish(vec![entry(7)], true, later);
        assert_eq!(schedule.take_due(later + Duration::from_secs(1)), [entry(9)]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_failed_commit_is_made_up_for_and_a_confirmed_one_is_not_repeated() {
        let mut schedule = CommitSchedule::new(Duration::from_secs(1));
        let mut now = Instant::now();
        schedule.advance(entry(5), now);
        now += Duration::from_secs(1);
        let entries = schedule.take_due(now);
        schedule.finish(entries, false, now);
        now += Duration::from_secs(1);
        let entries = schedule.take_due(now);
        assert_eq!(entries, [entry(5)]);
        schedule.finish(entries, true, now);
        schedule.advance(entry(5), now);
        assert_eq!(schedule.deadline(), None, "C2");
        schedule.forget(&Partition::new("t", 0));
        schedule.advance(entry(5), now);
        assert!(schedule.deadline().is_some(), "a new assignment starts afresh");
    }
}
