//! Creates, changes and deletes topics, and tells what a cluster knows of them.

use std::sync::Arc;
use std::time::Duration;

use rdkafka::admin::{
    AdminClient, AlterConfig, NewPartitions, NewTopic, ResourceSpecifier, TopicReplication,
    TopicResult,
};
use rdkafka::client::DefaultClientContext;
use rdkafka::error::RDKafkaErrorCode;
use tokio::time::Instant;

use super::super::{KafkaCluster, blocking, unique_name};
use super::{DEADLINE, REQUEST, assert_done, patience, settings};
use crate::support::wait::eventually;

/// Between attempts that are worth repeating.
const AGAIN: Duration = Duration::from_millis(100);

/// The client behind everything that is not about records.
#[derive(Clone)]
pub(crate) struct Admin(pub(super) Arc<AdminClient<DefaultClientContext>>);

// === impl Admin ===

impl std::fmt::Debug for Admin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Admin")
    }
}

impl Admin {
    pub(crate) fn new(bootstrap: &str) -> Self {
        Self(Arc::new(settings(bootstrap).create().expect("these settings are valid")))
    }

    /// Tells whether at least `brokers` brokers are registered and, if `everyone` is there, every
    /// partition of the cluster is led and fully replicated.
    pub(crate) async fn readiness(&self, brokers: usize, everyone: bool) -> Result<(), String> {
        let admin = Arc::clone(&self.0);
        blocking(move || {
            let metadata = admin
                .inner()
                // Short: a first connection that came too early is better tried again than waited for.
                .fetch_metadata(None, Duration::from_secs(1))
                .map_err(|error| format!("no metadata: {error}"))?;
            let registered = metadata.brokers().len();
            if registered < brokers.max(1) {
                return Err(format!("{registered} of {brokers} brokers are registered"));
            }
            let waiting = metadata.topics().iter().find(|topic| {
                topic
                    .partitions()
                    .iter()
                    .any(|part| part.leader() < 0 || part.isr().len() < part.replicas().len())
            });
            match waiting {
                Some(topic) if everyone => {
                    Err(format!("topic {} lacks leaders or replicas", topic.name()))
                }
                _ => Ok(()),
            }
        })
        .await
    }

    /// Returns the partitions of a topic, all of them led; `None` if there is no such topic.
    async fn partitions(&self, topic: &str) -> Result<Option<Vec<i32>>, String> {
        let (admin, topic) = (Arc::clone(&self.0), topic.to_owned());
        blocking(move || {
            let metadata = admin
                .inner()
                .fetch_metadata(Some(&topic), REQUEST)
                .map_err(|error| format!("no metadata of {topic}: {error}"))?;
            let found = metadata.topics().first().ok_or("the answer names no topic")?;
            match found.error().map(RDKafkaErrorCode::from) {
                Some(RDKafkaErrorCode::UnknownTopicOrPartition) => return Ok(None),
                Some(error) => return Err(format!("{topic}: {error}")),
                None => {}
            }
            let mut partitions = Vec::new();
            for partition in found.partitions() {
                if partition.leader() < 0 {
                    return Err(format!("partition {} of {topic} has no leader", partition.id()));
                }
                partitions.push(partition.id());
            }
            partitions.sort_unstable();
            Ok(Some(partitions))
        })
        .await
    }
}

// === impl KafkaCluster ===

impl KafkaCluster {
    /// Creates a topic and returns when all its partitions are led.
    pub(crate) async fn create_topic(&self, name: &str, partitions: usize, replication: usize) {
        self.create_topic_with(name, partitions, replication, &[]).await;
    }

    /// As [`KafkaCluster::create_topic`], with settings such as `("cleanup.policy", "compact")`.
    pub(crate) async fn create_topic_with(
        &self,
        name: &str,
        partitions: usize,
        replication: usize,
        settings: &[(&str, &str)],
    ) {
        let count = i32::try_from(partitions).expect("a test's partitions are few");
        let copies = i32::try_from(replication).expect("a test's brokers are few");
        let mut topic = NewTopic::new(name, count, TopicReplication::Fixed(copies));
        topic.config.extend_from_slice(settings);
        // A broker that was suspended is fenced until its next heartbeat, and counts as none.
        let fenced = |result: &TopicResult| {
            matches!(result, Err((_, RDKafkaErrorCode::InvalidReplicationFactor)))
        };
        let deadline = Instant::now() + DEADLINE;
        let done = loop {
            let done = self.admin.0.create_topics([&topic], &patience()).await;
            if Instant::now() >= deadline || !done.iter().flatten().any(fenced) {
                break done;
            }
            tokio::time::sleep(AGAIN).await;
        };
        assert_done("create topic", name, done);
        self.await_partitions(name, partitions).await;
    }

    /// Creates an unreplicated topic that is the caller's alone, and returns its name.
    pub(crate) async fn unique_topic(&self, prefix: &str, partitions: usize) -> String {
        let name = unique_name(prefix);
        self.create_topic(&name, partitions, 1).await;
        name
    }

    /// Replaces all settings of a topic's own; what is left out goes back to its default. The broker
    /// follows within moments.
    pub(crate) async fn alter_topic(&self, name: &str, settings: &[(&str, &str)]) {
        let wanted = settings
            .iter()
            .fold(AlterConfig::new(ResourceSpecifier::Topic(name)), |wanted, (key, value)| {
                wanted.set(key, value)
            });
        let done = self.admin.0.alter_configs([&wanted], &patience()).await;
        let results = done.unwrap_or_else(|error| panic!("cannot alter {name}: {error}"));
        for result in results {
            if let Err((_, code)) = result {
                panic!("cannot alter {name}: {code}");
            }
        }
    }

    /// Returns what is in force for a topic, set or by default.
    pub(crate) async fn topic_setting(&self, name: &str, key: &str) -> Option<String> {
        let topic = ResourceSpecifier::Topic(name);
        let described = self.admin.0.describe_configs([&topic], &patience()).await;
        let described = described.unwrap_or_else(|error| panic!("cannot describe {name}: {error}"));
        let [Ok(settings)] = &described[..] else {
            panic!("cannot describe {name}: {described:?}")
        };
        settings.get(key)?.value.clone()
    }

    /// Deletes a topic and returns when the cluster no longer knows it.
    pub(crate) async fn delete_topic(&self, name: &str) {
        let done = self.admin.0.delete_topics(&[name], &patience()).await;
        assert_done("delete topic", name, done);
        eventually(DEADLINE, "the topic to be gone", async || {
            match self.admin.partitions(name).await? {
                None => Ok(()),
                Some(left) => Err(format!("{name} still has partitions {left:?}")),
            }
        })
        .await;
    }

    /// Grows a topic to `total` partitions and returns when all are led.
    pub(crate) async fn add_partitions(&self, name: &str, total: usize) {
        let wanted = NewPartitions::new(name, total);
        let done = self.admin.0.create_partitions([&wanted], &patience()).await;
        assert_done("add partitions to", name, done);
        self.await_partitions(name, total).await;
        // The producer remembers how many there were.
        let what = format!("the producer to know {total} partitions of {name}");
        eventually(DEADLINE, &what, async || {
            let known = self.producer.known_partitions(name).await;
            let known = known.map_err(|error| error.to_string())?;
            if known == total { Ok(()) } else { Err(format!("it knows {known}")) }
        })
        .await;
    }

    /// Returns the partitions of a topic in order.
    pub(crate) async fn partitions(&self, topic: &str) -> Vec<i32> {
        let what = format!("topic {topic} to have leaders");
        eventually(DEADLINE, &what, async || {
            self.admin.partitions(topic).await?.ok_or_else(|| format!("there is no topic {topic}"))
        })
        .await
    }

    async fn await_partitions(&self, topic: &str, total: usize) {
        let what = format!("topic {topic} to have {total} partitions");
        eventually(DEADLINE, &what, async || match self.admin.partitions(topic).await? {
            Some(there) if there.len() == total => Ok(()),
            there => Err(format!("there are {there:?}")),
        })
        .await;
    }
}
