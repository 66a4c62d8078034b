//! Records that keep coming while a test does something else.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::interval;
use tokio_util::sync::CancellationToken;

use super::kafka::{KafkaCluster, NewRecord};
use super::service::order;

/// Short enough that a consumer sees a stream and not waves.
const STEP: Duration = Duration::from_millis(50);
const STEPS_PER_SECOND: usize = 20;

/// A producer of orders `e-0`, `e-1`, … over all partitions of a topic. Ends on drop.
#[derive(Debug)]
pub(crate) struct Production {
    stop: CancellationToken,
    task: JoinSet<BTreeSet<String>>,
}

impl Production {
    /// Begins to produce at about this pace.
    pub(crate) fn start(
        kafka: &Arc<KafkaCluster>,
        topic: &str,
        partitions: i32,
        per_second: usize,
    ) -> Self {
        let (kafka, topic) = (Arc::clone(kafka), topic.to_owned());
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let mut task = JoinSet::new();
        task.spawn(async move {
            let mut produced = BTreeSet::new();
            let mut steps = interval(STEP);
            while !stopped.is_cancelled() {
                steps.tick().await;
                let ids: Vec<_> = (produced.len()..)
                    .take(per_second.div_ceil(STEPS_PER_SECOND))
                    .map(|n| format!("e-{n}"))
                    .collect();
                let records = ids.iter().zip(0_i32..).map(|(id, n)| {
                    NewRecord::to(n % partitions).key(id.as_str()).value(order("c", id, "1"))
                });
                kafka.produce(&topic, records).await;
                produced.extend(ids);
            }
            produced
        });
        Self { stop, task }
    }

    /// Ends the stream and gives the identities of all records, each acknowledged by Kafka.
    pub(crate) async fn stop(mut self) -> BTreeSet<String> {
        self.stop.cancel();
        self.task.join_next().await.expect("there is one task").expect("it produces or panics")
    }
}
