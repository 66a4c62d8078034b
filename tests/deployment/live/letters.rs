//! Records that come late, and records that are refused until that is enough.

use ldsink::telemetry::clock;

use super::stand::{LETTERS, Stand};
use crate::support::kafka::NewRecord;
use crate::support::launchdarkly::LaunchDarkly;
use crate::support::service::{Service, order};

const HERE: (&str, &str) = ("instance", LETTERS);
const HOUR_MS: i64 = 3_600_000;

pub(super) async fn late_records_and_refused_ones(stand: &Stand) {
    let sandbox = LaunchDarkly::start().await;
    let config = stand.config(LETTERS, sandbox.url());
    let guard = ".dead, guard: { max_run: 5, probe_interval: 1s } }";
    let _service = Service::start(&config.replace(".dead }", guard));
    let topic = stand.topic(LETTERS);
    let good = |n: i32| NewRecord::to(0).value(order("c", &format!("e-{n}"), "1"));
    let malformed = |_| NewRecord::to(0).value("this is no JSON");

    // One must have been seen before, for a rate to rise.
    stand.kafka.produce(topic, (0..5).map(good)).await;
    stand.is_quiet(LETTERS).await;
    let hour_ago = clock::now_ms() - HOUR_MS;
    stand.kafka.produce(topic, (5..50).map(|n| good(n).timestamp(hour_ago))).await;
    stand.fires("LdsinkLate", &[HERE, ("target", "production")]).await;
    stand.clears("LdsinkLate", &[HERE]).await;

    stand.kafka.produce(topic, (0..8).map(malformed)).await;
    let halted = [HERE, ("route", "checkout"), ("stage", "route")];
    tokio::join!(
        stand.fires("LdsinkRouteHalted", &halted),
        stand.fires("LdsinkDeadLetters", &[HERE])
    );
    stand.kafka.produce(topic, (50..100).map(good)).await;
    stand.clears("LdsinkRouteHalted", &[HERE]).await;
    stand.clears("LdsinkDeadLetters", &[HERE]).await;

    let dead = format!("{topic}.dead");
    stand.kafka.alter_topic(&dead, &[("max.message.bytes", "100")]).await;
    stand.kafka.produce(topic, (0..1).map(malformed)).await;
    stand.fires("LdsinkDeadLetterTopicUnwritable", &[HERE]).await;
    stand.kafka.alter_topic(&dead, &[]).await;
    stand.clears("LdsinkDeadLetterTopicUnwritable", &[HERE]).await;
}
