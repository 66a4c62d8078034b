//! P2, P3 and P9 for members of a group: who leaves is not waited for, and static members keep their
//! partitions over a restart.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use crate::support::kafka::{KafkaCluster, unique_name};
use crate::support::launchdarkly::LaunchDarkly;
use crate::support::oracle::Expected;
use crate::support::production::Production;
use crate::support::service::{Service, orders_config, with_properties};
use crate::support::wait::eventually;

const PATIENCE: Duration = Duration::from_secs(60);
/// Well below the session time-out (45 s), after which a member that did not leave is missed.
const SOON: Duration = Duration::from_secs(25);
const PARTITIONS: i32 = 2;
const ASSIGNED: &str = "ldsink_assigned_partitions";

struct Scene {
    kafka: Arc<KafkaCluster>,
    sandbox: LaunchDarkly,
    topic: String,
    config: String,
}

impl Scene {
    async fn set() -> Self {
        let kafka = KafkaCluster::shared().await;
        let sandbox = LaunchDarkly::start().await;
        let topic = kafka.unique_topic("orders", usize::try_from(PARTITIONS).unwrap()).await;
        let group = unique_name("group");
        let config = orders_config(kafka.bootstrap(), &topic, &group, sandbox.url());
        Self { kafka, sandbox, topic, config }
    }

    fn member(&self, properties: &str) -> Service {
        Service::start(&with_properties(&self.config, properties))
    }

    fn produce(&self) -> Production {
        Production::start(&self.kafka, &self.topic, PARTITIONS, 1_000)
    }

    async fn flows(&self) {
        let before = self.sandbox.count("events_counted").await;
        eventually(PATIENCE, "events to flow", async || {
            self.sandbox.count("events_counted").await > before
        })
        .await;
    }

    async fn hold(&self, delivered: BTreeSet<String>) {
        let expected = Expected { delivered, ..Expected::default() };
        expected.hold(PATIENCE, &self.sandbox).await;
    }
}

async fn owns(member: &Service, wanted: i32, within: Duration) {
    eventually(within, &format!("{wanted} partitions"), async || {
        let owned = member.metric(ASSIGNED, &[]).await;
        if (owned - f64::from(wanted)).abs() < 0.5 { Ok(()) } else { Err(owned) }
    })
    .await;
}

/// More members than partitions: the one without work stops, and the group goes on at once. A
/// rebalance that waited for it would end with its session.
async fn a_member_without_partitions_leaves(properties: &str) {
    let scene = Scene::set().await;
    let members = [(); 3].map(|()| scene.member(properties));
    let mut shares = Vec::new();
    eventually(PATIENCE, "two members to share the partitions", async || {
        shares.clear();
        for member in &members {
            let assigned = member.lines_with("partitions assigned") > 0;
            shares.push(if assigned { member.metric(ASSIGNED, &[]).await } else { -1.0 });
        }
        let all = shares.iter().all(|share| *share > -0.5);
        if all && shares.iter().sum::<f64>() > 1.5 { Ok(()) } else { Err(format!("{shares:?}")) }
    })
    .await;
    let idle = shares.iter().position(|share| *share < 0.5).expect("three share two");
    let mut members = Vec::from(members);
    let ended = members.remove(idle).stop().await;
    assert_eq!(ended.status.code(), Some(0), "{}", ended.log);
    // This takes another rebalance.
    let ended = members.remove(0).stop().await;
    assert_eq!(ended.status.code(), Some(0), "{}", ended.log);
    owns(&members[0], PARTITIONS, SOON).await;
    assert_eq!(members.remove(0).stop().await.status.code(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_without_partitions_leaves_a_cooperative_group() {
    a_member_without_partitions_leaves("heartbeat.interval.ms: 500").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_without_partitions_leaves_an_eager_group() {
    let properties = "heartbeat.interval.ms: 500, partition.assignment.strategy: range";
    a_member_without_partitions_leaves(properties).await;
}

/// Stopped at every moment of its start, alone and beside another, a member leaves nothing behind.
#[tokio::test(flavor = "multi_thread")]
async fn a_member_that_is_stopped_while_it_joins_leaves() {
    let scene = Scene::set().await;
    let properties = "heartbeat.interval.ms: 500";
    let first = scene.member(properties);
    owns(&first, PARTITIONS, PATIENCE).await;
    for wait_ms in [0, 60, 120, 250, 400, 700] {
        let second = scene.member(properties);
        second.says(PATIENCE, &["connecting to kafka"]).await;
        // The moment is the point here, so time it is.
        tokio::time::sleep(Duration::from_millis(wait_ms)).await;
        let ended = second.stop().await;
        assert_eq!(ended.status.code(), Some(0), "{wait_ms}: {}", ended.log);
        owns(&first, PARTITIONS, SOON).await;
    }
    // Nobody is left whom the group would wait for.
    let last = scene.member(properties);
    owns(&last, 1, SOON).await;
    for member in [first, last] {
        assert_eq!(member.stop().await.status.code(), Some(0));
    }
}

/// A static member that comes back within its session gets its partitions back, and the others hear
/// nothing of it.
async fn a_static_member_comes_back(properties: &str) {
    let scene = Scene::set().await;
    let named = |name: &str| format!("{properties}, group.instance.id: {name}");
    let production = scene.produce();
    let stays = scene.member(&named("one"));
    let mut restarted = scene.member(&named("two"));
    owns(&stays, 1, PATIENCE).await;
    owns(&restarted, 1, PATIENCE).await;
    let given_up = stays.lines_with("partitions revoked");
    for _ in 0..3 {
        scene.flows().await;
        let ended = restarted.stop().await;
        assert_eq!(ended.status.code(), Some(0), "{}", ended.log);
        restarted = scene.member(&named("two"));
        owns(&restarted, 1, SOON).await;
    }
    scene.flows().await;
    scene.hold(production.stop().await).await;
    assert_eq!(stays.lines_with("partitions revoked"), given_up, "a restart is no rebalance");
    for member in [stays, restarted] {
        assert_eq!(member.stop().await.status.code(), Some(0));
    }
    assert_eq!(scene.sandbox.count("repeats_dropped").await, 0, "nothing is even sent twice");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_static_member_comes_back_to_a_classic_group() {
    a_static_member_comes_back("heartbeat.interval.ms: 500, session.timeout.ms: 30000").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_static_member_comes_back_to_a_group_of_the_new_protocol() {
    a_static_member_comes_back("group.protocol: consumer").await;
}

/// Two members of one name: the newer one has it, and the older one ends and says why instead of
/// going on with partitions that it no longer has.
#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_is_taken_over_ends_the_older_member() {
    let scene = Scene::set().await;
    let properties = "heartbeat.interval.ms: 500, group.instance.id: one";
    let production = scene.produce();
    let older = scene.member(properties);
    owns(&older, PARTITIONS, PATIENCE).await;
    scene.flows().await;
    let newer = scene.member(properties);
    let ended = older.ended(SOON).await;
    assert_eq!(ended.status.code(), Some(1), "{}", ended.log);
    assert!(ended.log.contains("FencedInstanceId"), "{}", ended.log);
    assert!(!ended.log.contains("the drain was not finished"), "it has nothing left to drain");
    owns(&newer, PARTITIONS, PATIENCE).await;
    scene.flows().await;
    scene.hold(production.stop().await).await;
    assert_eq!(newer.stop().await.status.code(), Some(0));
}
