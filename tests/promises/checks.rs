//! What LaunchDarkly would accept and not count is told before it happens, or kept out, and never
//! stands in the way of what would count.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::kafka::{KafkaCluster, NewRecord, unique_name};
use crate::support::launchdarkly::LaunchDarkly;
use crate::support::oracle::{Expected, header};
use crate::support::service::{Service, order, orders_config, with_checks};
use crate::support::wait::eventually;

const PATIENCE: Duration = Duration::from_secs(60);
const METRICS: &str = "metrics/storefront";

fn metric(event_key: &str, unit: &str) -> Value {
    json!({ "key": event_key, "kind": "custom", "isNumeric": true, "eventKey": event_key,
        "successCriteria": "HigherThanBaseline", "unit": "EUR", "analysisUnits": [unit] })
}

fn orders(ids: impl IntoIterator<Item = usize>) -> Vec<(String, NewRecord)> {
    let ids = ids.into_iter().map(|n| format!("e-{n}"));
    ids.map(|id| (id.clone(), NewRecord::to(0).key("k").value(order("c", &id, "1")))).collect()
}

async fn produce(kafka: &KafkaCluster, topic: &str, orders: &[(String, NewRecord)]) -> Vec<i64> {
    let records = orders.iter().map(|(_, record)| record.clone());
    kafka.produce(topic, records).await.iter().map(|at| at.offset).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_misspelt_event_key_is_told_and_delivered_all_the_same() {
    let kafka = KafkaCluster::shared().await;
    let sandbox = LaunchDarkly::start().await;
    sandbox.create(METRICS, &metric("checkout-totals", "user")).await;
    let topic = kafka.unique_topic("orders", 1).await;
    let config = orders_config(kafka.bootstrap(), &topic, &unique_name("group"), sandbox.url());
    let service = Service::start(&with_checks(&config, "warn"));
    let produced = orders(0..20);
    produce(&kafka, &topic, &produced).await;

    let delivered = produced.iter().map(|(id, _)| id.clone()).collect();
    Expected { delivered, ..Expected::default() }.hold(PATIENCE, &sandbox).await;
    let line = service.says(PATIENCE, &["LaunchDarkly will accept this and not count it"]).await;
    for part in ["checkout", "metric_missing", "did you mean `checkout-totals`?", "create a metric"]
    {
        assert!(line.contains(part), "{part}: {line}");
    }
    let labels = ["route=\"checkout\"", "reason=\"metric_missing\""];
    eventually(PATIENCE, "all of them counted", async || {
        let counted = service.metric("ldsink_would_not_count_total", &labels).await;
        if (counted - 20.0).abs() < 0.5 { Ok(()) } else { Err(format!("{counted}")) }
    })
    .await;
    assert!(service.metric("ldsink_checks_known", &["production"]).await > 0.5);
    let ended = service.stop().await;
    assert!(ended.status.success(), "{}", ended.log);
    assert_eq!(ended.log.matches("not count it").count(), 1, "one line for all of them");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_would_not_count_is_dead_lettered_until_the_metric_is_there() {
    let kafka = KafkaCluster::shared().await;
    let sandbox = LaunchDarkly::start().await;
    // It is there, and analyses something else.
    sandbox.create(METRICS, &metric("checkout-total", "device")).await;
    let topic = kafka.unique_topic("orders", 1).await;
    let config = orders_config(kafka.bootstrap(), &topic, &unique_name("group"), sandbox.url());
    let service = Service::start(&with_checks(&config, "dead_letter"));
    let refused = orders(0..50);
    let mut expected = Expected::default();
    for offset in produce(&kafka, &topic, &refused).await {
        expected.dead.insert((0, offset), "analysis_unit_missing");
    }
    let dead = format!("{topic}.dead");
    let letters = expected.dead_letters(PATIENCE, &kafka, &dead).await;
    assert_eq!(header(&letters[0], "ldsink.stage"), "check");
    assert_eq!(header(&letters[0], "ldsink.route"), "checkout");
    assert!(header(&letters[0], "ldsink.detail").contains("analyse device"));
    assert!(header(&letters[0], "ldsink.remedy").contains("analysis units"));
    assert_eq!(sandbox.count("events_counted").await, 0);

    // A person mends it. No record that comes from now on is refused on the strength of old knowledge
    // for longer than `checks.reread`.
    let second = json!({ "key": "another", "kind": "custom", "isNumeric": false,
        "eventKey": "checkout-total", "analysisUnits": ["user"] });
    sandbox.create(METRICS, &second).await;
    eventually(PATIENCE, "the old reading to be too old", async || {
        let end = usize::try_from(kafka.end_offsets(&topic).await[&0]).unwrap();
        let probe = orders([1_000 + end]);
        produce(&kafka, &topic, &probe).await;
        eventually(PATIENCE, "the probe to end", async || {
            let dead = kafka.read_all(&dead).await.len();
            let counted = sandbox.count("events_counted").await;
            if dead + usize::try_from(counted).unwrap() > end {
                Ok(())
            } else {
                Err(format!("{dead} {counted}"))
            }
        })
        .await;
        sandbox.count("events_counted").await > 0
    })
    .await;
    let before = sandbox.count("events_counted").await;
    produce(&kafka, &topic, &orders(100..200)).await;
    eventually(PATIENCE, "the rest to count", async || {
        sandbox.count("events_counted").await == before + 100
    })
    .await;
    let ended = service.stop().await;
    assert!(ended.status.success(), "{}", ended.log);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rest_api_that_is_down_at_start_stops_no_delivery() {
    let kafka = KafkaCluster::shared().await;
    let sandbox = LaunchDarkly::start().await;
    let down = json!({ "kind": "status", "status": 503 });
    sandbox.set_faults(json!([{ "operation": "metric_list", "action": down }])).await;
    let topic = kafka.unique_topic("orders", 1).await;
    let config = orders_config(kafka.bootstrap(), &topic, &unique_name("group"), sandbox.url());
    let service = Service::start(&with_checks(&config, "dead_letter"));
    let produced = orders(0..20);
    produce(&kafka, &topic, &produced).await;
    let delivered = produced.iter().map(|(id, _)| id.clone()).collect();
    Expected { delivered, ..Expected::default() }.hold(PATIENCE, &sandbox).await;
    let line = service.says(PATIENCE, &["what LaunchDarkly has cannot be read"]).await;
    assert!(line.contains("unavailable"), "{line}");
    assert!(service.metric("ldsink_checks_known", &["production"]).await < 0.5);
    assert_eq!(service.ask("/ready").await.0, 200, "checks are no reason to be unready");

    sandbox.clear_faults().await;
    service.says(PATIENCE, &["what LaunchDarkly has is known again"]).await;
    // A reading is taken up at the next turn of the consumer thread; what comes before passes.
    let dead = format!("{topic}.dead");
    let next = AtomicUsize::new(20);
    let letters = eventually(PATIENCE, "a record to be refused", async || {
        let order = orders([next.fetch_add(1, Ordering::Relaxed)]);
        produce(&kafka, &topic, &order).await;
        let letters = kafka.read_all(&dead).await;
        if letters.is_empty() { Err("none yet") } else { Ok(letters) }
    })
    .await;
    assert_eq!(header(&letters[0], "ldsink.reason"), "metric_missing");
    let ended = service.stop().await;
    assert!(ended.status.success(), "{}", ended.log);
    assert_eq!(ended.log.matches("cannot be read").count(), 1, "it is said once");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_service_makes_itself_is_not_called_missing() {
    let kafka = KafkaCluster::shared().await;
    let sandbox = LaunchDarkly::start().await;
    let topic = kafka.unique_topic("orders", 1).await;
    let config = orders_config(kafka.bootstrap(), &topic, &unique_name("group"), sandbox.url());
    let config = with_checks(&config, "dead_letter").replace(
        "routes:\n",
        &format!(
            r"routes:
  - name: metrics
    topics: [{topic}]
    format: debezium
    checks: dead_letter
    metric: {{ target: production, key: $.row.id, kind: custom, event_key: $.row.id, is_numeric: false }}
  - name: events
    topics: [{topic}]
    format: debezium
    checks: dead_letter
    metric_event: {{ target: production, key: $.row.id, context: {{ user: $.row.user_id }}, data: {{ id: $.row.id }} }}
  - name: buyers
    topics: [{topic}]
    format: debezium
    checks: dead_letter
    segment_member: {{ target: production, segment: $.row.id, context_key: $.row.user_id, create: true }}
"
        ),
    );
    let config = config.replace("when: op != \"delete\"", "when: false");
    let service = Service::start(&config);
    let produced = orders(0..10);
    produce(&kafka, &topic, &produced).await;
    let delivered = produced.iter().map(|(id, _)| id.clone()).collect();
    Expected { delivered, ..Expected::default() }.hold(PATIENCE, &sandbox).await;
    for (id, _) in &produced {
        for path in
            [format!("metrics/storefront/{id}"), format!("segments/storefront/production/{id}")]
        {
            eventually(PATIENCE, &path, async || sandbox.look(&format!("/sandbox/{path}")).await)
                .await;
        }
    }
    let ended = service.stop().await;
    assert!(ended.status.success(), "{}", ended.log);
    assert!(kafka.read_all(&format!("{topic}.dead")).await.is_empty());
    assert!(!ended.log.contains("not count it"), "{}", ended.log);
}
