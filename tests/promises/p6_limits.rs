//! P6 inside the limits of an account: nothing is refused, and something is always left to others.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::support::kafka::{KafkaCluster, NewRecord, unique_name};
use crate::support::launchdarkly::LaunchDarkly;
use crate::support::service::{Service, order, orders_config};
use crate::support::wait::eventually;

const PATIENCE: Duration = Duration::from_secs(120);
/// Requests per window, of which a fifth is the reserve.
const LIMIT: u64 = 40;
const WINDOW_MS: i64 = 2_000;
const RESERVE: u64 = 8;
const METRICS: usize = 100;

/// A definition per order, which takes a read and a creation each.
const DEFINITIONS: &str = "
  - name: totals
    topics: [TOPIC]
    format: debezium
    metric:
      target: production
      key: $.row.id
      kind: custom
      event_key: $.row.id
      is_numeric: false
";

/// More to send than a few windows hold, through so many instances.
async fn an_account_s_limit_is_kept(instances: usize) {
    let kafka = KafkaCluster::shared().await;
    let sandbox = LaunchDarkly::start().await;
    let limit = json!({ "scope": "token", "limit": LIMIT, "window_ms": WINDOW_MS });
    sandbox.put("/sandbox/limits", &json!({ "limits": [limit] })).await;
    let partitions = i32::try_from(instances).unwrap();
    let topic = kafka.unique_topic("orders", instances).await;
    let config = orders_config(kafka.bootstrap(), &topic, &unique_name("group"), sandbox.url())
        .replace("\nbatch: {", &format!("{}\nbatch: {{", DEFINITIONS.replace("TOPIC", &topic)));
    let services: Vec<Service> = (0..instances).map(|_| Service::start(&config)).collect();
    // Each of them has its part of what is to be sent.
    eventually(PATIENCE, "a partition for everyone", async || {
        let assigned = services.iter().map(|it| it.metric("ldsink_assigned_partitions", &[]));
        join_all(assigned).await.iter().all(|count| (0.5..1.5).contains(count))
    })
    .await;
    let records = (0_i32..)
        .take(METRICS)
        .map(|n| NewRecord::to(n % partitions).value(order("c", &format!("e-{n}"), "1")));
    kafka.produce(&topic, records).await;
    eventually(PATIENCE, "all definitions", async || {
        let made = &sandbox.journal().await["requests_by_operation"]["metric_create"];
        made.as_u64().is_some_and(|made| made >= u64::try_from(METRICS).unwrap())
    })
    .await;

    let mut sent = Vec::new();
    for service in services {
        shown_by(&service).await;
        sent.push(service.metric("ldsink_requests_total", &[]).await);
        assert!(service.stop().await.status.success());
    }
    println!("requests of each instance: {sent:?}");
    let requests = sandbox.requests().await;
    kept(&requests, instances);
    let (most, least) = (sent.iter().copied().fold(0.0, f64::max), sent[0]);
    let least = sent.iter().copied().fold(least, f64::min);
    assert!(least >= most / 2.0, "nobody is left out: {sent:?}");
}

async fn shown_by(service: &Service) {
    let labels = ["production", "rest", "limit=\"token\""];
    for (name, expected) in
        [("ldsink_budget_limit_requests", LIMIT), ("ldsink_budget_reserve_requests", RESERVE)]
    {
        let told = service.metric(name, &labels).await;
        assert_eq!(format!("{told:.0}"), expected.to_string(), "{name}");
    }
    let waited = service.metric("ldsink_throttle_seconds_total", &["cause=\"limit\""]).await;
    assert!(waited > 0.5, "{waited} s");
}

fn kept(requests: &[Value], instances: usize) {
    let refused = requests.iter().filter(|request| request["status"] == 429).count();
    let mut by_window: BTreeMap<i64, u64> = BTreeMap::new();
    for request in requests {
        let at = |request: &Value| request["received_at_ms"].as_i64().unwrap();
        *by_window.entry(at(request) / WINDOW_MS).or_default() += 1;
    }
    println!("{instances} instances, {refused} refused of {}, {by_window:?}", requests.len());
    assert_eq!(refused, 0, "of {}: {by_window:?}", requests.len());
    // Each process has two budgets here, which do not know of each other, and of the others' none.
    let unaware = 2 * u64::try_from(instances).unwrap();
    let most = *by_window.values().max().unwrap();
    assert!(most <= LIMIT - RESERVE + unaware, "{by_window:?}");
    // And it is used: the whole took about as many windows as it had to.
    let had_to = u64::try_from(requests.len()).unwrap().div_ceil(LIMIT - RESERVE);
    let took = by_window.keys().last().unwrap() - by_window.keys().next().unwrap() + 1;
    assert!(took <= i64::try_from(had_to).unwrap() + 4, "{took} windows, {had_to} would do");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_is_kept_and_the_reserve_left() {
    an_account_s_limit_is_kept(1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn several_instances_keep_it_together() {
    an_account_s_limit_is_kept(3).await;
}
