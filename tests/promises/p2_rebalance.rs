//! P2, P3 and P9 while partitions move between instances, under all three ways to share a group.
//!
//! Records keep coming all the time. A rebalance is nothing special to a user who deploys or scales:
//! nothing is lost, nothing counts twice, nothing is even sent twice, and every instance ends well.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use crate::support::kafka::{KafkaCluster, unique_name};
use crate::support::launchdarkly::LaunchDarkly;
use crate::support::oracle::Expected;
use crate::support::production::Production;
use crate::support::service::{Service, orders_config, with_properties};
use crate::support::wait::eventually;

const PATIENCE: Duration = Duration::from_secs(60);
const PARTITIONS: i32 = 6;
const RECORDS_PER_SECOND: usize = 2_000;
const ASSIGNED: &str = "ldsink_assigned_partitions";

/// Members hear of a rebalance within half a second.
const COOPERATIVE: &str = "heartbeat.interval.ms: 500";
const EAGER: &str = "heartbeat.interval.ms: 500, partition.assignment.strategy: range";
/// The broker assigns, and sets the heartbeat.
const BY_BROKER: &str = "group.protocol: consumer";
/// Members hear of a rebalance after up to three seconds, as they do by default.
const COOPERATIVE_LATE: &str = "partition.assignment.strategy: cooperative-sticky";
const EAGER_LATE: &str = "partition.assignment.strategy: range";

/// A topic, its readers' configuration, and where the events go.
struct Scene {
    kafka: Arc<KafkaCluster>,
    sandbox: LaunchDarkly,
    topic: String,
    group: String,
    config: String,
}

impl Scene {
    async fn set(properties: &str) -> Self {
        let kafka = KafkaCluster::shared().await;
        let sandbox = LaunchDarkly::start().await;
        let topic = kafka.unique_topic("orders", usize::try_from(PARTITIONS).unwrap()).await;
        let group = unique_name("group");
        let config = orders_config(kafka.bootstrap(), &topic, &group, sandbox.url());
        let config = with_properties(&config, properties);
        Self { kafka, sandbox, topic, group, config }
    }

    fn produce(&self) -> Production {
        Production::start(&self.kafka, &self.topic, PARTITIONS, RECORDS_PER_SECOND)
    }

    /// Waits until events arrive that were not there before.
    async fn flows(&self) {
        let before = self.sandbox.count("events_counted").await;
        eventually(PATIENCE, "events to flow", async || {
            self.sandbox.count("events_counted").await > before
        })
        .await;
    }

    /// Waits for all events, has the last instance end, and looks at both ends.
    async fn close(self, delivered: BTreeSet<String>, last: Service) {
        let expected = Expected { delivered, ..Expected::default() };
        expected.hold(PATIENCE, &self.sandbox).await;
        ends_well(last).await;
        expected.account(&self.sandbox).await;
        assert_eq!(self.sandbox.count("repeats_dropped").await, 0, "nothing is even sent twice");
        assert_eq!(self.kafka.uncommitted(&self.group, &self.topic).await, []);
    }
}

/// Waits until the instances share all partitions evenly.
async fn share(instances: &[&Service]) {
    let whole = f64::from(PARTITIONS);
    let part = whole / f64::from(u32::try_from(instances.len()).unwrap());
    eventually(PATIENCE, &format!("shares of {part} partitions"), async || {
        let mut shares = Vec::new();
        for instance in instances {
            shares.push(instance.metric(ASSIGNED, &[]).await);
        }
        if shares.iter().all(|share| (share - part).abs() < 0.5) {
            Ok(())
        } else {
            Err(format!("{shares:?}"))
        }
    })
    .await;
}

async fn ends_well(instance: Service) {
    let ended = instance.stop().await;
    assert_eq!(ended.status.code(), Some(0), "{}", ended.log);
}

/// Two instances join one after the other, then the oldest two leave.
async fn instances_come_and_go(properties: &str) {
    let scene = Scene::set(properties).await;
    let production = scene.produce();
    let first = Service::start(&scene.config);
    share(&[&first]).await;
    scene.flows().await;
    let second = Service::start(&scene.config);
    share(&[&first, &second]).await;
    scene.flows().await;
    let third = Service::start(&scene.config);
    share(&[&first, &second, &third]).await;
    scene.flows().await;
    ends_well(second).await;
    share(&[&first, &third]).await;
    scene.flows().await;
    ends_well(first).await;
    share(&[&third]).await;
    scene.flows().await;
    scene.close(production.stop().await, third).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn instances_come_and_go_cooperatively() {
    instances_come_and_go(COOPERATIVE).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn instances_come_and_go_eagerly() {
    instances_come_and_go(EAGER).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn instances_come_and_go_as_the_broker_says() {
    instances_come_and_go(BY_BROKER).await;
}

/// A rolling update: each instance is told to stop while its successor joins, each at another moment
/// of the rebalance.
async fn a_stop_meets_a_rebalance(properties: &str) {
    let scene = Scene::set(properties).await;
    let production = scene.produce();
    let mut old = Service::start(&scene.config);
    share(&[&old]).await;
    for moment in ["the new one connects", "the old one gives up", "the new one is assigned"] {
        scene.flows().await;
        let before = old.lines_with("partitions revoked");
        let new = Service::start(&scene.config);
        match moment {
            "the new one connects" => drop(new.says(PATIENCE, &["connecting to kafka"]).await),
            "the new one is assigned" => drop(new.says(PATIENCE, &["partitions assigned"]).await),
            _ => {
                eventually(PATIENCE, moment, async || {
                    old.lines_with("partitions revoked") > before
                })
                .await;
            }
        }
        let ended = old.stop().await;
        assert_eq!(ended.status.code(), Some(0), "when {moment}:\n{}", ended.log);
        share(&[&new]).await;
        old = new;
    }
    scene.close(production.stop().await, old).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_meets_a_cooperative_rebalance() {
    a_stop_meets_a_rebalance(COOPERATIVE_LATE).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_meets_an_eager_rebalance() {
    a_stop_meets_a_rebalance(EAGER_LATE).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_meets_a_rebalance_by_the_broker() {
    a_stop_meets_a_rebalance(BY_BROKER).await;
}

/// LaunchDarkly refuses for longer than a drain may take, so partitions move with requests open. The
/// old owner must not go on with them: the new one reads their records again.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_drain_gave_up_is_delivered_by_the_new_owner_only() {
    let scene = Scene::set(COOPERATIVE).await;
    let config = scene.config.replace("drain_deadline: 15s", "drain_deadline: 3s");
    scene.sandbox.set_faults(json!([{ "action": { "kind": "status", "status": 503 } }])).await;
    let production = Production::start(&scene.kafka, &scene.topic, PARTITIONS, 200);
    let first = Service::start(&config);
    share(&[&first]).await;
    let faulted = async || scene.sandbox.count("requests_faulted").await;
    eventually(PATIENCE, "refused requests", async || faulted().await > 5).await;

    let second = Service::start(&config);
    first.says(PATIENCE, &["the drain was not finished"]).await;
    share(&[&first, &second]).await;
    second.says(PATIENCE, &["request failed"]).await;
    // Both try what they hold once more before LaunchDarkly is back.
    let before = faulted().await;
    eventually(PATIENCE, "more refused requests", async || faulted().await > before + 20).await;
    assert_eq!(scene.sandbox.count("events_counted").await, 0);
    scene.sandbox.clear_faults().await;

    let delivered = production.stop().await;
    let expected = Expected { delivered: delivered.clone(), ..Expected::default() };
    expected.hold(PATIENCE, &scene.sandbox).await;
    ends_well(first).await;
    scene.close(delivered, second).await;
}
