//! Synced segments, which belong to a partner's integration: a topic drives their members through the
//! partner endpoint, and they end as the last change of each row says (P4).

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use ldsink::sandbox::{ClientSideId, Settings};
use proptest::prelude::Strategy;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};

use crate::support::kafka::{KafkaCluster, NewRecord, unique_name};
use crate::support::launchdarkly::LaunchDarkly;
use crate::support::oracle::header;
use crate::support::service::{Service, orders_config};
use crate::support::wait::eventually;

const PATIENCE: Duration = Duration::from_secs(60);
const CLIENT_SIDE_ID: &str = "5f00aa11bb22cc33dd44ee55";
const CUSTOMERS: usize = 80;
const CHANGES: usize = 3_000;
/// The customer whom LaunchDarkly does not take.
const REFUSED: usize = 7;

/// Loyal customers are one cohort, every tier is another one of another integration.
fn config(bootstrap: &str, topic: &str, url: &str, client_side_id: &str) -> String {
    let routes = format!(
        r"routes:
  - name: loyal
    topics: [{topic}]
    format: debezium
    before: full
    segment_member:
      target: production
      kind: synced
      segment: loyal
      name: {{ literal: Loyal customers }}
      context_key: $.row.id
      member: row.loyal
      synced: {{ integration_key: fulcrum, client_side_id: {client_side_id}, cohort_id: cohort-7 }}
  - name: tiers
    topics: [{topic}]
    format: debezium
    before: full
    segment_member:
      target: production
      kind: synced
      segment: $.row.tier
      context_kind: customer
      context_key: $.row.id
      synced: {{ integration_key: segment-audiences, client_side_id: {client_side_id} }}
"
    );
    let whole = orders_config(bootstrap, topic, &unique_name("group"), url);
    let (head, tail) = whole.split_once("routes:\n").unwrap();
    let (_, tail) = tail.split_once("batch:").unwrap();
    format!("{head}{routes}segments: {{ max_members: 30, linger: 50ms }}\nbatch:{tail}")
}

/// Customer → (tier, loyal).
type Table = BTreeMap<usize, (usize, bool)>;

fn change(id: usize, before: Option<(usize, bool)>, after: Option<(usize, bool)>) -> NewRecord {
    let row = |(tier, loyal): (usize, bool)| json!({ "id": format!("u-{id}"), "tier": format!("tier-{tier}"), "loyal": loyal });
    let op = match (before, after) {
        (None, _) => "c",
        (Some(_), Some(_)) => "u",
        (Some(_), None) => "d",
    };
    let value = json!({ "op": op, "before": before.map(row), "after": after.map(row) });
    NewRecord::default().key(format!("u-{id}")).value(value.to_string())
}

fn walk(table: &mut Table) -> Vec<NewRecord> {
    let mut runner = TestRunner::deterministic();
    let step = (0..CUSTOMERS, 0..3_usize, proptest::bool::ANY, 0..6_u8);
    let mut records = Vec::new();
    while records.len() < CHANGES {
        let (id, tier, loyal, kind) = step.new_tree(&mut runner).unwrap().current();
        let before = table.get(&id).copied();
        let after = (kind > 0).then_some((tier, loyal));
        if before.is_none() && after.is_none() {
            continue;
        }
        records.push(change(id, before, after));
        match after {
            Some(state) => drop(table.insert(id, state)),
            None => drop(table.remove(&id)),
        }
    }
    records
}

fn members(table: &Table, wanted: impl Fn(usize, bool) -> bool) -> BTreeSet<String> {
    let rows = table.iter().filter(|(id, (tier, loyal))| **id != REFUSED && wanted(*tier, *loyal));
    rows.map(|(id, _)| format!("u-{id}")).collect()
}

async fn shown(sandbox: &LaunchDarkly, key: &str) -> Option<Value> {
    sandbox.look(&format!("/sandbox/segments/storefront/production/{key}")).await
}

async fn mirrors(sandbox: &LaunchDarkly, key: &str, kind: &str, wanted: &BTreeSet<String>) {
    eventually(PATIENCE, &format!("{key} to mirror its rows"), async || {
        let found = shown(sandbox, key).await.ok_or("no such segment")?;
        assert_eq!(found["excluded"], json!({}), "{key}");
        let keys = found["included"][kind].as_array().cloned().unwrap_or_default();
        let keys: BTreeSet<_> = keys.iter().map(|it| it.as_str().unwrap().to_owned()).collect();
        if keys == *wanted {
            return Ok(());
        }
        let (more, less) = (keys.difference(wanted).count(), wanted.difference(&keys).count());
        Err(format!("{more} too many, {less} missing"))
    })
    .await;
}

fn faults() -> Value {
    let targets = |times: u32, action: Value| json!({ "operation": "segment_targets", "times": times, "action": action });
    let poison = json!({
        "operation": "segment_targets", "body_contains": format!("\"u-{REFUSED}\""),
        "action": { "kind": "status", "status": 400 },
    });
    json!([
        poison,
        targets(5, json!({ "kind": "status", "status": 503 })),
        targets(5, json!({ "kind": "cut_after_accept" })),
        targets(2, json!({ "kind": "cut_before_accept" })),
        targets(1, json!({ "kind": "status", "status": 429, "retry_after_seconds": 1 })),
        targets(3, json!({ "kind": "status", "status": 503, "after_accept": true })),
        targets(2, json!({ "kind": "conflict" })),
    ])
}

#[tokio::test(flavor = "multi_thread")]
async fn synced_segments_end_as_their_table_under_faults() {
    let kafka = KafkaCluster::shared().await;
    let home = ("storefront".to_owned(), "production".to_owned());
    let id = ClientSideId {
        id: CLIENT_SIDE_ID.to_owned(),
        project: home.0.clone(),
        environment: home.1.clone(),
    };
    let settings = Settings {
        environments: Some(vec![home]),
        client_side_ids: vec![id],
        ..Settings::default()
    };
    let sandbox = LaunchDarkly::with(settings).await;
    sandbox.set_faults(faults()).await;
    let topic = kafka.unique_topic("customers", 3).await;
    let mut table = Table::default();
    let records = walk(&mut table);
    let service = Service::start(&config(kafka.bootstrap(), &topic, sandbox.url(), CLIENT_SIDE_ID));
    for part in records.chunks(300) {
        kafka.produce(&topic, part.to_vec()).await;
    }

    mirrors(&sandbox, "fulcrum-cohort-7", "user", &members(&table, |_, loyal| loyal)).await;
    for tier in 0..3 {
        let key = format!("segment-audiences-tier-{tier}");
        mirrors(&sandbox, &key, "customer", &members(&table, |its, _| its == tier)).await;
    }
    let loyal = shown(&sandbox, "fulcrum-cohort-7").await.unwrap();
    assert_eq!(loyal["name"], "Loyal customers", "{loyal}");
    let ended = service.stop().await;
    assert!(ended.status.success(), "{}", ended.log);

    let letters = kafka.read_all(&format!("{topic}.dead")).await;
    assert!(!letters.is_empty(), "u-{REFUSED} is refused");
    for letter in letters {
        assert_eq!(letter.key.as_deref(), Some(format!("u-{REFUSED}").as_bytes()));
        assert_eq!(header(&letter, "ldsink.reason"), "refused_by_launchdarkly");
    }
    let requests = sandbox.requests().await;
    assert!(requests.iter().all(|it| it["operation"] == "segment_targets"), "nothing else");
    assert!(requests.len() < CHANGES / 4, "{} requests", requests.len());
    let struck = requests.iter().flat_map(|it| it["faults"].as_array().unwrap().clone());
    let struck: BTreeSet<String> = struck.map(|it| it.as_str().unwrap().to_owned()).collect();
    assert_eq!(struck.len(), 4, "every kind of fault struck: {struck:?}");
}

/// An environment's client-side ID that leads nowhere is a fault of the configuration (P7).
#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_client_side_id_halts_the_lane_until_it_is_known() {
    const WHERE: &str = "/sandbox/client-side-ids/storefront/production";
    let kafka = KafkaCluster::shared().await;
    // Another sandbox derives the same ID; this one does not know it until it has told it.
    let twin = LaunchDarkly::start().await.look(WHERE).await.unwrap();
    let sandbox = LaunchDarkly::start().await;
    let topic = kafka.unique_topic("customers", 1).await;
    let id = twin["client_side_id"].as_str().unwrap();
    let service = Service::start(&config(kafka.bootstrap(), &topic, sandbox.url(), id));
    kafka.produce(&topic, [change(1, None, Some((0, true)))]).await;
    let line = service.says(PATIENCE, &["lane halted", "\"status\":404"]).await;
    assert!(line.contains("client_side_id"), "the remedy is in the log: {line}");
    assert_eq!(service.ask("/ready").await.0, 503);

    assert_eq!(sandbox.look(WHERE).await.unwrap(), twin);
    let wanted = BTreeSet::from(["u-1".to_owned()]);
    mirrors(&sandbox, "fulcrum-cohort-7", "user", &wanted).await;
    mirrors(&sandbox, "segment-audiences-tier-0", "customer", &wanted).await;
    let ended = service.stop().await;
    assert!(ended.status.success(), "{}", ended.log);
    assert!(kafka.read_all(&format!("{topic}.dead")).await.is_empty());
}
