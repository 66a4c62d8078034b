//! Leaves the group and closes the consumer.
//!
//! Whoever ends without leaving is missed only after the session's time-out, and until then no
//! rebalance ends: a deployment would stand still for 45 seconds. librdkafka 2.12 closes a cooperative
//! member without leaving when it has no partitions at that moment, and one that is about to join, or
//! in the middle of a rebalance, has none. So the rebalance is brought to its end first, then the
//! subscription is given up, which leaves, and only then the consumer is closed.
//!
//! # Invariants
//! - G1: what the group asks for meanwhile is answered at once; nothing that is read is taken.
//! - G2: a static member does not leave: it is expected back.
//!
//! Not here: how long that may take (`source`).

use std::sync::Arc;
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer, RebalanceProtocol};
use tokio::time::Instant;

use super::consumer::{Context, RebalanceEvent};
use super::list_of;
use crate::model::record::Partition;

/// A broker answers the requests of one connection in their order, so the answer to any question
/// means that the step of the rebalance before it has been answered. A rebalance has three: join,
/// sync, and the next join after something was given up; one more for good measure.
const STEPS: usize = 4;
/// For what follows from an answer to arrive: it only has to cross threads.
const SERVE: Duration = Duration::from_millis(20);
/// For one answer. A join is answered when all members have come: when the last one has drained what it
/// gives up, or after its session when it is no more. Whoever goes before that is missed by the others
/// in the next rebalance, and a deployment goes from one such rebalance to the next.
const ANSWER: Duration = Duration::from_secs(60);

/// A consumer that nobody polls any more.
pub(super) struct Farewell {
    pub(super) consumer: Arc<BaseConsumer<Context>>,
    /// To ask about; it may be a pattern.
    pub(super) topic: String,
    /// Not so when it is a static member, or when Kafka cannot be reached.
    pub(super) leaves: bool,
}

impl Farewell {
    /// Leaves and closes. Blocks for as long as that takes.
    pub(super) fn say(self) {
        self.carry_out_what_is_open();
        self.consumer.context().close();
        // Cooperative assignments refuse a plain `unassign`; closing takes them back anyway.
        if !self.is_cooperative()
            && let Err(error) = self.consumer.unassign()
        {
            tracing::debug!(%error, "nothing to unassign");
        }
        if self.leaves {
            let is_settled = self.settle();
            self.consumer.unsubscribe();
            if is_settled {
                self.settle();
            }
        }
        drop(self.consumer);
    }

    /// Does what the group asked for before and nobody came to.
    fn carry_out_what_is_open(&self) {
        while let Some(event) = self.consumer.context().next_event() {
            let result = match (event, self.is_cooperative()) {
                (RebalanceEvent::Assigned(partitions), true) => {
                    self.consumer.incremental_assign(&list_of(&partitions))
                }
                (RebalanceEvent::Assigned(partitions), false) => {
                    self.consumer.assign(&list_of(&partitions))
                }
                (RebalanceEvent::Revoked(partitions), true) => {
                    self.consumer.incremental_unassign(&list_of(&partitions))
                }
                (RebalanceEvent::Revoked(_), false) => self.consumer.unassign(),
            };
            if let Err(error) = result {
                tracing::debug!(%error, "a rebalance while stopping");
            }
        }
    }

    /// Brings a rebalance under way to its end. Gives whether Kafka answers.
    fn settle(&self) -> bool {
        let question = [Partition::new(self.topic.as_str(), 0)];
        for _ in 0..STEPS {
            // Answers what the group asks for (`Context::close`); records are dropped.
            let until = Instant::now() + SERVE;
            while Instant::now() < until {
                drop(self.consumer.poll(until.saturating_duration_since(Instant::now())));
            }
            if let Err(error) = self.consumer.committed_offsets(list_of(&question), ANSWER) {
                tracing::debug!(%error, "the group's coordinator does not answer a question");
                return false;
            }
        }
        true
    }

    fn is_cooperative(&self) -> bool {
        matches!(self.consumer.rebalance_protocol(), RebalanceProtocol::Cooperative)
    }
}
