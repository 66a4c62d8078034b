//! Decides when progress and journals are written to Kafka.
//!
//! Commits are made by a thread of their own and confirmed one at a time; meanwhile what is new
//! accumulates on the books. A failed commit loses nothing: the next one writes at least as much.
//!
//! # Invariants
//! - C1: at most one commit is under way.
//! - C2: progress waits for `interval` at most; a batch that cannot be sent before its edges are
//!   written waits for `GATHER` and the commit under way.
//!
//! Not here: the writing itself (`source`), what is written (`ack`, `journal`).

use std::time::Duration;

use tokio::time::Instant;

/// How long the first of several cut batches waits for others to be written with it: at 150
/// partitions one commit each would keep a broker busy.
const GATHER: Duration = Duration::from_millis(5);
/// Between a failed commit and the next attempt while batches wait for it.
const RETRY: Duration = Duration::from_millis(100);

/// When the next commit is due.
#[derive(Debug)]
pub struct CommitSchedule {
    interval: Duration,
    due: Option<Instant>,
    under_way: bool,
    /// The present or next commit is one that batches wait for.
    urgent: bool,
}

// === impl CommitSchedule ===

impl CommitSchedule {
    pub fn new(interval: Duration) -> Self {
        Self { interval, due: None, under_way: false, urgent: false }
    }

    /// There is progress that Kafka does not know.
    pub fn progress(&mut self, now: Instant) {
        self.within(self.interval, now);
    }

    /// Batches wait for a commit.
    pub fn urge(&mut self, now: Instant) {
        self.urgent = true;
        self.within(GATHER, now);
    }

    fn within(&mut self, wait: Duration, now: Instant) {
        let at = now + wait;
        self.due = Some(self.due.map_or(at, |due| due.min(at)));
    }

    /// When to ask for a commit; `None` while one is under way, or nothing is to be written.
    pub fn deadline(&self) -> Option<Instant> {
        if self.under_way { None } else { self.due }
    }

    /// Whether batches wait for the commit under way.
    pub fn is_awaited(&self) -> bool {
        self.under_way && self.urgent
    }

    /// Whether a commit is to be made now.
    pub fn is_due(&self, now: Instant) -> bool {
        self.deadline().is_some_and(|due| due <= now)
    }

    /// A commit is made. The caller reports back with [`Self::finish`].
    pub fn start(&mut self) {
        self.due = None;
        self.under_way = true;
    }

    /// There was nothing to be written after all.
    pub fn skip(&mut self) {
        self.due = None;
        self.urgent = false;
    }

    /// Reports how a commit ended.
    pub fn finish(&mut self, succeeded: bool, now: Instant) {
        self.under_way = false;
        if succeeded {
            // Whatever became urgent since has its own deadline.
            self.urgent = self.due.is_some();
        } else {
            self.within(if self.urgent { RETRY.min(self.interval) } else { self.interval }, now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn one_commit_at_a_time_and_progress_gathers_for_the_interval() {
        let mut schedule = CommitSchedule::new(SECOND);
        let start = Instant::now();
        assert_eq!(schedule.deadline(), None);
        schedule.progress(start);
        schedule.progress(start + SECOND / 2);
        assert!(!schedule.is_due(start + SECOND / 2));
        assert!(schedule.is_due(start + SECOND));
        schedule.start();
        schedule.progress(start + SECOND);
        assert_eq!(schedule.deadline(), None, "C1");
        schedule.finish(true, start + SECOND);
        assert_eq!(schedule.deadline(), Some(start + 2 * SECOND));
        schedule.start();
        schedule.finish(true, start + 2 * SECOND);
        assert_eq!(schedule.deadline(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_batch_that_waits_hurries_a_commit_and_a_failed_one_is_made_up_for_soon() {
        let mut schedule = CommitSchedule::new(SECOND);
        let start = Instant::now();
        schedule.progress(start);
        schedule.urge(start);
        assert_eq!(schedule.deadline(), Some(start + GATHER), "C2");
        schedule.start();
        assert!(schedule.is_awaited());
        schedule.finish(false, start + SECOND);
        assert_eq!(schedule.deadline(), Some(start + SECOND + RETRY));
        schedule.start();
        schedule.finish(true, start + 2 * SECOND);
        assert!(!schedule.is_awaited());
        schedule.progress(start);
        schedule.start();
        schedule.finish(false, start);
        assert_eq!(schedule.deadline(), Some(start + SECOND), "nobody waits for it");
    }
}
