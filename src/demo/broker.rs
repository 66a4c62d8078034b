//! The embedded Kafka: librdkafka's mock cluster, in this process, on the loopback interface.
//!
//! It speaks enough of the protocol for producers, consumer groups and commits, and other programs
//! on this machine may connect to it. What it lacks matters here: it keeps 5 MiB per partition and
//! forgets the rest (`window`), it does not answer admin requests (so the topics are made here), and
//! nothing survives the process.

use rdkafka::error::KafkaError;
use rdkafka::mocking::MockCluster;
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use crate::runtime::tasks::TaskSet;

/// The topic of the changes, as `config/demo.yaml` names it.
pub(super) const ORDERS: &str = "shop.public.orders";
/// More than one, so that batches of several partitions are under way at once.
pub(super) const PARTITIONS: i32 = 6;
/// One broker: the mock serves all of them from one thread anyway, and one address is easier to use.
const BROKERS: i32 = 1;

/// The embedded broker does not start.
#[derive(Debug, thiserror::Error)]
pub enum BrokerError {
    #[error("the embedded broker does not start")]
    Start(#[from] KafkaError),
    #[error("the embedded broker's thread ended early")]
    Gone,
}

/// Starts the broker with both topics and gives its address. It lives until `stop` is cancelled.
pub(super) async fn start(
    dead_letter_topic: String,
    tasks: &TaskSet,
    stop: CancellationToken,
) -> Result<String, BrokerError> {
    let (tell, told) = oneshot::channel();
    let runtime = Handle::current();
    // The handle of a mock cluster may not leave its thread.
    tasks.spawn_blocking("broker", move || match open(&dead_letter_topic) {
        Ok(cluster) => {
            if tell.send(Ok(cluster.bootstrap_servers())).is_ok() {
                runtime.block_on(stop.cancelled());
            }
        }
        Err(error) => {
            if tell.send(Err(error)).is_err() {
                tracing::debug!("nobody waits for the broker");
            }
        }
    });
    Ok(told.await.map_err(|_gone| BrokerError::Gone)??)
}

fn open(
    dead_letter_topic: &str,
) -> Result<MockCluster<'static, rdkafka::producer::DefaultProducerContext>, KafkaError> {
    let cluster = MockCluster::new(BROKERS)?;
    cluster.create_topic(ORDERS, PARTITIONS, BROKERS)?;
    cluster.create_topic(dead_letter_topic, 1, BROKERS)?;
    Ok(cluster)
}
