//! The thread that owns the Kafka consumer.
//!
//! It polls, hands every record to the intake on the borrowed bytes, carries out what the intake
//! asks of the consumer (pause, resume, commit), and leads assignments and revocations through:
//! **drain, commit, then give up**, in that order. Nothing here waits for LaunchDarkly except a
//! drain, which has a deadline; so the group never expels the member while LaunchDarkly is down.
//!
//! # Invariants
//! - S1: rebalance events are only noted in the callback and handled by the loop, which owns the
//!   state; a partition is given up after its progress was committed, or the deadline passed.
//! - S2: no `TopicPartitionList` outlives the function that made it: one that does makes dropping
//!   the consumer hang for ever.
//! - S3: after a lost assignment nothing is committed: somebody else owns those partitions.
//!
//! Not here: what becomes of a record (`path`), when progress is due (`commit`).

mod assignment;
mod committed;
mod committer;
mod consumer;
mod error;
mod farewell;
mod lateness;
mod sight;
mod statistics;

use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{BorrowedHeaders, BorrowedMessage, Headers as KafkaHeaders};
use rdkafka::{Message, Offset, TopicPartitionList};
use std::sync::Arc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use self::committer::Committer;
use self::consumer::Context;
pub use self::error::SourceError;
use self::sight::Sight;
use crate::kafka::settings::KafkaSettings;
use crate::model::progress::{CommitEntry, Committed, NextOffset, Standing};
use crate::model::record::{Headers, NoHeaders, Partition, Record};
use crate::model::topic::TopicSelector;
use crate::telemetry::health::Health;
use crate::telemetry::metrics::Metrics;

/// The longest sleep in `poll`: how late an acknowledgement may be noticed when no record comes.
const TURN: Duration = Duration::from_millis(50);
/// Records taken between two turns: what a turn costs, and asking for the time, is spread over them,
/// and limits may be overrun by as many.
const RECORDS_PER_TURN: u32 = 256;
/// The longest wait for Kafka's client to go back in a partition.
const SEEK: Duration = Duration::from_secs(10);
/// Parts in `/ready`: whether brokers answer, and whether the group has given us our share.
const CONNECTION: &str = "kafka";
const ASSIGNMENT: &str = "assignment";

/// The property that names a static member.
const STATIC_MEMBER: &str = "group.instance.id";

/// What the consumer thread needs of the pipeline. Called from that thread only.
pub trait Intake {
    /// New partitions are ours, from what was committed for them on.
    fn assigned(&mut self, committed: &[Committed]);
    /// Takes one record. Offsets of a partition grow from call to call, but may repeat.
    fn record(&mut self, record: &Record<'_>, now: Instant);
    /// Does what is due and says what the consumer has to do.
    fn turn(&mut self, now: Instant) -> Turn;
    /// Sends everything on that is still being collected for these partitions, which are about to be
    /// given up, and begins nothing that waits for a person.
    fn close(&mut self, partitions: &[Partition]);
    /// Whether every record of these partitions is settled.
    fn is_drained(&self, partitions: &[Partition]) -> bool;
    /// Waits for a settlement, at most `timeout`, and applies what has come. Gives what is to be
    /// committed so that more can be sent.
    fn await_settlement(&mut self, timeout: Duration, now: Instant) -> Vec<CommitEntry>;
    /// What is to be committed for these partitions before they are given up.
    fn progress(&mut self, partitions: &[Partition]) -> Vec<CommitEntry>;
    /// A commit has ended.
    fn committed(&mut self, entries: Vec<CommitEntry>, succeeded: bool, now: Instant);
    /// How far each partition has come.
    fn standings(&self) -> Vec<Standing>;
    /// Partitions are no longer ours; answers that come later change nothing.
    fn revoked(&mut self, partitions: &[Partition]);
}

/// What the consumer has to do after a turn.
#[derive(Debug, Default)]
pub struct Turn {
    pub pause: Vec<Partition>,
    /// To be read again from here, before anything of them is resumed.
    pub seek: Vec<(Partition, NextOffset)>,
    pub resume: Vec<Partition>,
    pub commit: Vec<CommitEntry>,
    /// When the intake wants the next turn at the latest.
    pub next: Option<Instant>,
}

/// How the source is told to stop.
#[derive(Debug, Clone)]
pub struct Stop {
    /// Drain, commit, leave.
    pub requested: CancellationToken,
    /// Leave now.
    pub immediate: CancellationToken,
}

/// What the source reports to.
#[derive(Debug, Clone)]
pub struct Reports {
    pub health: Arc<Health>,
    pub metrics: Metrics,
}

impl Reports {
    /// A broker has answered. Healing by proof rather than by time: the client does not tell when
    /// an outage ends.
    fn note_connection(&self) {
        if self.health.heal(CONNECTION) {
            tracing::info!("kafka can be reached again");
        }
    }
}

/// How a source ended that was told to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stopped {
    /// Everything taken was settled and committed.
    Clean,
    /// The deadline passed, or an immediate stop was asked for; what was in flight is read again
    /// after the next start.
    Unfinished,
}

/// The consumer and what belongs to it.
pub struct Source<I> {
    consumer: Arc<BaseConsumer<Context>>,
    committer: Committer,
    intake: I,
    assigned: Vec<Partition>,
    paused: Vec<Partition>,
    drain_deadline: Duration,
    /// Kafka has refused a commit because we are no member any more.
    expelled: bool,
    /// The last commit failed, and that was told.
    commits_fail: bool,
    is_static: bool,
    /// One that is subscribed.
    topic: String,
    sight: Sight,
    reports: Reports,
}

impl<I: Intake> Source<I> {
    /// Creates the consumer and subscribes.
    pub fn new(
        settings: &KafkaSettings,
        topics: &[TopicSelector],
        drain_deadline: Duration,
        intake: I,
        reports: Reports,
    ) -> Result<Self, SourceError> {
        let consumer = Arc::new(consumer::create(settings, &reports).map_err(SourceError::Create)?);
        let topics: Vec<&str> = topics.iter().map(TopicSelector::as_str).collect();
        consumer.subscribe(&topics).map_err(SourceError::Fatal)?;
        let committer = Committer::start(Arc::clone(&consumer));
        let (assigned, paused) = (Vec::new(), Vec::new());
        sight::declare_series(&reports.metrics);
        reports.health.fault(ASSIGNMENT, "waiting for the group to assign partitions");
        Ok(Self {
            consumer,
            committer,
            intake,
            assigned,
            paused,
            drain_deadline,
            expelled: false,
            commits_fail: false,
            is_static: settings.properties.iter().any(|(name, _)| name == STATIC_MEMBER),
            topic: topics.first().map_or(String::new(), |topic| (*topic).to_owned()),
            sight: Sight::default(),
            reports,
        })
    }

    /// Runs until told to stop or until Kafka refuses us for good.
    pub fn run(mut self, stop: &Stop) -> Result<Stopped, SourceError> {
        let ended = self.run_loop(stop);
        let deadline = Instant::now() + self.drain_deadline;
        let stopped = if stop.immediate.is_cancelled() {
            Stopped::Unfinished
        } else if self.has_lost(&ended) {
            // Somebody else has our partitions, or our name, and what waits is theirs: whoever
            // drained now would write over what they write (S3).
            self.intake.revoked(&self.assigned);
            Stopped::Unfinished
        } else {
            let stopped = self.drain(&self.assigned.clone(), &stop.immediate);
            // Leaving takes a while, and what is done meanwhile is in no commit.
            self.intake.revoked(&self.assigned);
            stopped
        };
        let left = self.leave(deadline, &stop.immediate);
        ended.map(|()| if left { stopped } else { Stopped::Unfinished })
    }

    fn has_lost(&self, ended: &Result<(), SourceError>) -> bool {
        let failed = matches!(ended, Err(SourceError::Fatal(_)));
        failed || self.expelled || self.consumer.assignment_lost()
    }

    fn run_loop(&mut self, stop: &Stop) -> Result<(), SourceError> {
        let mut next = Instant::now();
        while !stop.requested.is_cancelled() {
            self.take_some(next)?;
            self.reports.health.beat();
            while let Some(event) = self.consumer.context().next_event() {
                self.rebalance(event, stop)?;
            }
            next = self.turn()?;
            self.look();
        }
        Ok(())
    }

    /// Takes what comes until `next`, or as many records as may come between two turns.
    fn take_some(&mut self, next: Instant) -> Result<(), SourceError> {
        let consumer = Arc::clone(&self.consumer);
        let mut now = Instant::now();
        let mut wait = sleep_until(next, now);
        for _ in 0..RECORDS_PER_TURN {
            match consumer.poll(wait) {
                Some(Ok(message)) => {
                    // Records that were there already came at the same time.
                    if !wait.is_zero() {
                        now = Instant::now();
                    }
                    self.take(&message, now);
                }
                Some(Err(error)) => return self.judge(error),
                None if wait.is_zero() => {
                    now = Instant::now();
                    wait = sleep_until(next, now);
                    if wait.is_zero() {
                        return Ok(());
                    }
                    continue;
                }
                None => return Ok(()),
            }
            wait = Duration::ZERO;
        }
        Ok(())
    }

    fn take(&mut self, message: &BorrowedMessage<'_>, now: Instant) {
        let headers = message.headers().map(MessageHeaders);
        let record = Record {
            topic: message.topic(),
            partition: message.partition(),
            offset: message.offset(),
            timestamp_ms: message.timestamp().to_millis(),
            key: message.key(),
            value: message.payload(),
            headers: headers.as_ref().map_or(&NoHeaders as &dyn Headers, |h| h),
        };
        self.intake.record(&record, now);
    }

    /// Lets the intake work and carries out what it asks for. Gives when it wants to be called next.
    fn turn(&mut self) -> Result<Instant, SourceError> {
        let now = Instant::now();
        self.note_commits(now);
        let turn = self.intake.turn(now);
        self.pause(turn.pause);
        self.seek(&turn.seek)?;
        self.resume(&turn.resume);
        // No commit is asked for while one is under way, so a thread that is gone has to be missed.
        let asks = !turn.commit.is_empty();
        if self.committer.is_gone() || asks && !self.committer.commit(turn.commit) {
            return Err(SourceError::CommitterGone);
        }
        Ok(turn.next.unwrap_or(now + TURN))
    }

    /// Goes back in partitions that are paused.
    fn seek(&self, places: &[(Partition, NextOffset)]) -> Result<(), SourceError> {
        for (partition, next) in places {
            let Partition { topic, number } = partition;
            // Not to be read again would be to be lost, so there is no going on without.
            let offset = Offset::Offset(next.0);
            self.consumer.seek(topic, *number, offset, SEEK).map_err(SourceError::Seek)?;
        }
        Ok(())
    }

    fn pause(&mut self, mut partitions: Vec<Partition>) {
        partitions.retain(|partition| !self.paused.contains(partition));
        if partitions.is_empty() {
            return;
        }
        if let Err(error) = self.consumer.pause(&list_of(&partitions)) {
            // More comes in than was asked for until the next pause; nothing is lost.
            tracing::warn!(%error, "partitions cannot be paused");
        }
        self.paused.extend(partitions);
        self.show_counts();
    }

    fn resume(&mut self, partitions: &[Partition]) {
        if partitions.is_empty() {
            return;
        }
        if let Err(error) = self.consumer.resume(&list_of(partitions)) {
            tracing::warn!(%error, "partitions cannot be resumed");
        }
        self.paused.retain(|partition| !partitions.contains(partition));
        self.show_counts();
    }
}

impl<I> std::fmt::Debug for Source<I> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Source").field("assigned", &self.assigned).finish_non_exhaustive()
    }
}

/// How long to sleep in `poll`, in whole milliseconds: the client takes what is left of one for none and
/// asks again until it is over, which keeps a core busy.
fn sleep_until(next: Instant, now: Instant) -> Duration {
    let left = next.saturating_duration_since(now).min(TURN);
    Duration::from_millis(left.as_micros().div_ceil(1_000).try_into().unwrap_or(u64::MAX))
}

/// Makes the list librdkafka wants. To be dropped in the function that asked for it (S2).
fn list_of(partitions: &[Partition]) -> TopicPartitionList {
    let mut list = TopicPartitionList::with_capacity(partitions.len());
    for partition in partitions {
        list.add_partition(&partition.topic, partition.number);
    }
    list
}

/// A message's headers as the pipeline sees them.
struct MessageHeaders<'m>(&'m BorrowedHeaders);

impl Headers for MessageHeaders<'_> {
    fn count(&self) -> usize {
        self.0.count()
    }

    fn at(&self, index: usize) -> Option<(&str, Option<&[u8]>)> {
        let header = self.0.try_get(index)?;
        Some((header.key, header.value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn sleeps_are_whole_milliseconds_and_never_too_short() {
        let now = Instant::now();
        for (left_us, slept_ms) in [(0, 0), (1, 1), (999, 1), (1_000, 1), (1_001, 2), (90_000, 50)]
        {
            let next = now + Duration::from_micros(left_us);
            assert_eq!(sleep_until(next, now), Duration::from_millis(slept_ms), "{left_us} us");
        }
        assert_eq!(sleep_until(now, now + TURN), Duration::ZERO);
    }
}
