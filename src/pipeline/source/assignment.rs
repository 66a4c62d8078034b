//! Taking partitions up and giving them up: the journal first, and **drain, commit, then give up**.
//!
//! # Invariants
//! - G1: a partition is read only after what was committed for it was.
//! - G2: a partition is given up after its progress was committed, or the deadline passed.

use std::time::Duration;

use rdkafka::consumer::{Consumer, RebalanceProtocol};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::consumer::RebalanceEvent;
use super::farewell::Farewell;
use super::{
    ASSIGNMENT, CONNECTION, Intake, Source, SourceError, Stop, Stopped, committed, list_of, sight,
};
use crate::model::record::Partition;
use crate::runtime::failpoint::{self, Failpoint};

/// The longest wait for an acknowledgement in a drain before the deadline is looked at again.
const DRAIN_STEP: Duration = Duration::from_millis(20);
/// Time for the last commit of a drain, beyond the drain's own deadline.
const LAST_COMMIT: Duration = Duration::from_secs(3);
/// Between attempts at the last commit.
const COMMIT_RETRY: Duration = Duration::from_millis(100);
/// The least time for leaving: a commit under way and closing the consumer. With Kafka gone they
/// would block for a minute, and an orchestrator waits for half of that.
const LEAVE: Duration = Duration::from_secs(5);
/// Between two looks at whether there is still time for leaving.
const LEAVE_STEP: Duration = Duration::from_millis(50);

impl<I: Intake> Source<I> {
    pub(super) fn rebalance(
        &mut self,
        event: RebalanceEvent,
        stop: &Stop,
    ) -> Result<(), SourceError> {
        match event {
            RebalanceEvent::Assigned(partitions) => self.assign(partitions, stop)?,
            RebalanceEvent::Revoked(partitions) => self.revoke(&partitions, &stop.immediate),
        }
        self.show_counts();
        Ok(())
    }

    fn assign(&mut self, partitions: Vec<Partition>, stop: &Stop) -> Result<(), SourceError> {
        tracing::info!(partitions = partitions.len(), "partitions assigned");
        self.expelled = false;
        self.reports.metrics.rebalances.with_label_values(&[sight::ASSIGNED]).inc();
        let consumer = &self.consumer;
        let stopped = || stop.requested.is_cancelled() || stop.immediate.is_cancelled();
        let alive = || self.reports.health.beat();
        let committed = match committed::read(consumer, &partitions, stopped, alive) {
            Ok(committed) => committed,
            // Nothing was taken of them, so there is nothing to give up either.
            Err(_) if stopped() => return Ok(()),
            Err(error) => return Err(SourceError::CommittedUnread(error)),
        };
        let list = committed::list_from(&committed).map_err(SourceError::Assign)?;
        match consumer.rebalance_protocol() {
            RebalanceProtocol::Cooperative => consumer.incremental_assign(&list),
            RebalanceProtocol::Eager | RebalanceProtocol::None => consumer.assign(&list),
        }
        .map_err(SourceError::Assign)?;
        // A paused flag survives reassignment inside librdkafka; begin from a known state.
        if let Err(error) = consumer.resume(&list) {
            tracing::debug!(%error, "new partitions cannot be resumed");
        }
        self.intake.assigned(&committed);
        self.assigned.extend(partitions);
        self.reports.health.heal(ASSIGNMENT);
        Ok(())
    }

    fn revoke(&mut self, partitions: &[Partition], immediate: &CancellationToken) {
        let lost = self.consumer.assignment_lost() || self.expelled;
        let kind = if lost { sight::LOST } else { sight::REVOKED };
        tracing::info!(partitions = partitions.len(), lost, "partitions revoked");
        self.reports.metrics.rebalances.with_label_values(&[kind]).inc();
        if !lost && !partitions.is_empty() {
            self.drain(partitions, immediate);
        }
        failpoint::reach(Failpoint::InRevoke);
        self.intake.revoked(partitions);
        let result = match self.consumer.rebalance_protocol() {
            RebalanceProtocol::Cooperative => {
                self.consumer.incremental_unassign(&list_of(partitions))
            }
            RebalanceProtocol::Eager | RebalanceProtocol::None => self.consumer.unassign(),
        };
        if let Err(error) = result {
            tracing::error!(%error, "a revocation cannot be carried out");
        }
        self.assigned.retain(|partition| !partitions.contains(partition));
        self.forget(partitions);
        self.paused.retain(|partition| !partitions.contains(partition));
    }

    /// Settles and commits what is in flight of these partitions, within the deadline.
    pub(super) fn drain(
        &mut self,
        partitions: &[Partition],
        immediate: &CancellationToken,
    ) -> Stopped {
        let started = Instant::now();
        let deadline = started + self.drain_deadline;
        self.intake.close(partitions);
        while !self.intake.is_drained(partitions)
            && Instant::now() < deadline
            && !immediate.is_cancelled()
        {
            self.step_drain(DRAIN_STEP);
        }
        let drained = self.intake.is_drained(partitions);
        let committed = self.commit_now(partitions, deadline + LAST_COMMIT);
        let whole = drained && committed && !self.expelled;
        let ended = if whole { Stopped::Clean } else { Stopped::Unfinished };
        self.show_drain(ended, started.elapsed());
        if whole {
            return ended;
        }
        tracing::warn!(
            drained,
            committed,
            "the drain was not finished; what is in flight is read again"
        );
        ended
    }

    /// Commits and waits for the confirmation. Gives whether it came in time.
    fn commit_now(&mut self, partitions: &[Partition], deadline: Instant) -> bool {
        loop {
            let entries = self.intake.progress(partitions);
            if entries.is_empty() {
                return true;
            }
            if Instant::now() >= deadline {
                return false;
            }
            if !self.committer.commit(entries.clone()) {
                return false;
            }
            loop {
                let left = deadline.saturating_duration_since(Instant::now());
                let Some(confirmation) = self.committer.next_confirmation(left) else {
                    return false;
                };
                let ours = confirmation.answers(&entries);
                self.note_commit(confirmation, Instant::now());
                if ours {
                    break;
                }
            }
            // While another member joins, the group refuses commits for a moment; giving up on the
            // first refusal would repeat what was delivered.
            self.step_drain(COMMIT_RETRY);
        }
    }

    /// Lets what is in flight go on: answers come in, and what they let go is written and sent.
    fn step_drain(&mut self, step: Duration) {
        self.reports.health.beat();
        self.note_commits(Instant::now());
        let due = self.intake.await_settlement(step, Instant::now());
        if !due.is_empty() && !self.committer.commit(due) {
            tracing::error!("the commit thread is gone; the drain cannot be finished");
        }
    }

    /// Gives everything up at once when Kafka says that we are no member any more; the client tells
    /// only later, and not at all in a drain.
    pub(super) fn note_expulsion(&mut self, error: &KafkaError) {
        let expelled = matches!(
            error.rdkafka_error_code(),
            Some(RDKafkaErrorCode::UnknownMemberId | RDKafkaErrorCode::FencedMemberEpoch)
        );
        if expelled && !self.expelled {
            tracing::warn!("the group has gone on without this member; it begins anew");
            self.expelled = true;
            self.intake.revoked(&self.assigned);
        }
    }

    /// Leaves the group and closes the consumer. Gives whether that came to its end by `deadline`.
    pub(super) fn leave(self, deadline: Instant, immediate: &CancellationToken) -> bool {
        let is_reachable = !self.reports.health.ready().reasons.contains_key(CONNECTION);
        let Self { consumer, committer, is_static, topic, .. } = self;
        let farewell = Farewell { consumer, topic, leaves: is_reachable && !is_static };
        // A commit under way shares the consumer, so closing waits for it, elsewhere.
        let (tell, told) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            committer.stop();
            farewell.say();
            if tell.send(()).is_err() {
                tracing::debug!("left the consumer group after all");
            }
        });
        let least = Instant::now() + LEAVE;
        let is_time = |now| now < least || (now < deadline && !immediate.is_cancelled());
        let mut left = false;
        while !left && is_time(Instant::now()) {
            left = told.recv_timeout(LEAVE_STEP).is_ok();
        }
        if left {
            tracing::info!("left the consumer group");
        } else {
            tracing::warn!("leaving the consumer group takes too long; ending without");
        }
        left
    }
}
