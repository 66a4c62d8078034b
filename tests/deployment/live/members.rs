//! Members of a group that come, go and do not commit.

use serde_json::json;

use super::PATIENCE;
use super::stand::{CRASHES, FILTERS, STAYS, Stand};
use crate::support::kafka::{NewRecord, unique_name};
use crate::support::launchdarkly::LaunchDarkly;
use crate::support::service::{Service, order};
use crate::support::wait::eventually;

pub(super) async fn a_drain_that_ends_unfinished_and_a_crash(stand: &Stand) {
    let sandbox = LaunchDarkly::start().await;
    let group = unique_name("group");
    let config = |instance| {
        let config = stand.member(instance, STAYS, &group, sandbox.url());
        config.replace("drain_deadline: 15s", "drain_deadline: 1s")
    };
    let stays = Service::start(&config(STAYS));
    let record = |n: i32| NewRecord::to(n % 2).value(order("c", &format!("e-{n}"), "1"));
    stand.kafka.produce(stand.topic(STAYS), (0..10).map(record)).await;
    stand.is_quiet(STAYS).await;

    sandbox.set_faults(json!([{ "action": { "kind": "hang" } }])).await;
    stand.kafka.produce(stand.topic(STAYS), (10..50).map(record)).await;
    eventually(PATIENCE, "requests that hang", async || {
        stays.metric("ldsink_in_flight_requests", &["metric_event"]).await > 1.5
    })
    .await;
    // It takes one of the partitions, whose requests hang.
    let newer = Service::start(&config(CRASHES));
    stand.fires("LdsinkDrainTimedOut", &[("instance", STAYS)]).await;
    sandbox.clear_faults().await;
    stand.clears("LdsinkDrainTimedOut", &[("instance", STAYS)]).await;

    let here = ("instance", CRASHES);
    stand.clears("LdsinkDown", &[here]).await;
    newer.kill().await;
    stand.fires("LdsinkDown", &[here]).await;
    let again = Service::start(&config(CRASHES));
    stand.clears("LdsinkDown", &[here]).await;
    drop((stays, again));
}

/// Everything is filtered, so that no batch needs its edges in Kafka.
pub(super) async fn settled_and_not_committed(stand: &Stand) {
    let sandbox = LaunchDarkly::start().await;
    let config = stand.config(FILTERS, sandbox.url());
    let config = config.replace("commit_interval: 200ms", "commit_interval: 1m");
    let _service = Service::start(&config);
    let here = [("instance", FILTERS)];
    let produce = async || {
        let mut steps = tokio::time::interval(std::time::Duration::from_millis(200));
        loop {
            steps.tick().await;
            let record = NewRecord::to(0).value(order("d", "e-0", "1"));
            stand.kafka.produce(stand.topic(FILTERS), [record]).await;
        }
    };
    tokio::select! {
        () = stand.fires("LdsinkCommitsStale", &here) => {}
        () = produce() => {}
    }
    stand.clears("LdsinkCommitsStale", &here).await;
}
