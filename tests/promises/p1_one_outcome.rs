//! P1: every record is delivered, filtered or dead-lettered, and exactly one of them.

use std::time::Duration;

use serde_json::json;

use crate::support::kafka::{KafkaCluster, NewRecord, unique_name};
use crate::support::launchdarkly::LaunchDarkly;
use crate::support::oracle::{Expected, header};
use crate::support::service::{Service, order, orders_config};
use crate::support::wait::eventually;

const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_of_record_ends_where_it_must() {
    let kafka = KafkaCluster::shared().await;
    let sandbox = LaunchDarkly::start().await;
    let topic = kafka.unique_topic("orders", 3).await;
    let value = |text: String| NewRecord::to(1).key("k").value(text).header("trace", "t-1");
    let wrapped =
        format!(r#"{{"schema":{{"type":"struct"}},"payload":{}}}"#, order("c", "e-2", "2"));
    let records = [
        (value(order("c", "e-0", "41.50")), Some("e-0"), None),
        (value(order("r", "e-1", "1e2")), Some("e-1"), None),
        (value(wrapped), Some("e-2"), None),
        (value(order("u", "e-3", "-3")), Some("e-3"), None),
        (value(order("d", "gone", "1")), None, None),
        (NewRecord::to(1).key("k"), None, None),
        (value(r#"{"ts_ms":1767225600300}"#.to_owned()), None, None),
        (value("{\"op\":".to_owned()), None, Some("invalid_json")),
        (value("{\"id\":1}".to_owned()), None, Some("invalid_envelope")),
        (value(order("c", "x-1", "null")), None, Some("missing_field")),
        (value(order("c", "x-2", "\"12\"")), None, Some("wrong_type")),
        (value(order("c", "x-3", "1").replace("u-x-3", "")), None, Some("empty_context_key")),
        (
            value(order("c", "x-4", "1").replace("1767225600250000", "17")),
            None,
            Some("implausible_time"),
        ),
        (value(order("c", "e-4", "0")), Some("e-4"), None),
    ];
    let mut expected = Expected::default();
    let produced = kafka.produce(&topic, records.iter().map(|(record, _, _)| record.clone())).await;
    for ((_, id, reason), at) in records.iter().zip(&produced) {
        expected.delivered.extend(id.map(str::to_owned));
        expected.dead.extend(reason.map(|reason| ((at.partition, at.offset), reason)));
    }

    let group = unique_name("group");
    let service = Service::start(&orders_config(kafka.bootstrap(), &topic, &group, sandbox.url()));
    expected.hold(PATIENCE, &sandbox).await;
    let letters = expected.dead_letters(PATIENCE, &kafka, &format!("{topic}.dead")).await;

    // Dead letters are the original records, with the reasons beside their own headers.
    for letter in &letters {
        let offset: i64 = header(letter, "ldsink.offset").parse().unwrap();
        let at = produced.iter().position(|p| p.offset == offset).unwrap();
        assert_eq!(letter.value, records[at].0.value, "X2");
        assert_eq!(letter.key.as_deref(), Some(&b"k"[..]));
        assert_eq!(header(letter, "trace"), "t-1");
        assert_eq!(header(letter, "ldsink.topic"), topic);
        assert!(!header(letter, "ldsink.remedy").is_empty());
    }

    // The service's own books agree with the oracle's.
    eventually(PATIENCE, "the counters", async || {
        let mut seen = Vec::new();
        for outcome in ["delivered", "filtered", "dead_lettered"] {
            seen.push(service.metric("ldsink_records_total", &[outcome]).await);
        }
        if seen == [5.0, 3.0, 6.0] { Ok(()) } else { Err(format!("{seen:?}")) }
    })
    .await;
    // Nothing holds the progress back.
    eventually(PATIENCE, "the commit", async || {
        let committed = kafka.committed(&group, &topic).await;
        let at = committed.iter().find(|c| c.partition == 1).unwrap().offset;
        if at == i64::try_from(records.len()).ok() { Ok(()) } else { Err(format!("{committed:?}")) }
    })
    .await;
    assert!(service.stop().await.status.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_event_that_launchdarkly_refuses_is_isolated_and_the_others_are_delivered() {
    let kafka = KafkaCluster::shared().await;
    let sandbox = LaunchDarkly::start().await;
    sandbox
        .set_faults(json!([{
            "body_contains": "poison",
            "action": { "kind": "status", "status": 400 }
        }]))
        .await;
    let topic = kafka.unique_topic("orders", 1).await;
    let ids: Vec<String> =
        (0..1_000).map(|n| if n == 617 { "poison".to_owned() } else { format!("e-{n}") }).collect();
    let produced = kafka
        .produce(
            &topic,
            ids.iter().map(|id| NewRecord::to(0).key(id.as_str()).value(order("c", id, "1"))),
        )
        .await;
    let mut expected = Expected::default();
    expected.delivered.extend(ids.iter().filter(|id| *id != "poison").cloned());
    expected.dead.insert((0, produced[617].offset), "refused_by_launchdarkly");

    let group = unique_name("group");
    let service = Service::start(&orders_config(kafka.bootstrap(), &topic, &group, sandbox.url()));
    expected.hold(PATIENCE, &sandbox).await;
    let letters = expected.dead_letters(PATIENCE, &kafka, &format!("{topic}.dead")).await;
    assert_eq!(header(&letters[0], "ldsink.status"), "400");
    // It had left the service's memory; it was fetched from Kafka again, as it was.
    assert_eq!(letters[0].value.as_deref(), Some(order("c", "poison", "1").as_bytes()));
    assert_eq!(letters[0].key.as_deref(), Some(&b"poison"[..]));
    assert!(service.stop().await.status.success());
}
