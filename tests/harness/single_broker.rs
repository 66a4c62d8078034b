//! Topics, records and offsets on the shared broker.

use std::collections::BTreeMap;

use crate::support::kafka::{Committed, KafkaCluster, NewRecord, Position, unique_name};

fn untouched(partition: i32) -> Committed {
    Committed { partition, offset: None, metadata: String::new() }
}

#[tokio::test]
async fn records_come_back_as_they_were_sent() {
    let kafka = KafkaCluster::shared().await;
    let topic = kafka.unique_topic("roundtrip", 3).await;
    let mut headed =
        NewRecord::to(2).key("k").value("v").header("h", "1").header("h", [0xff, 0x00]);
    headed.headers.push(("absent".to_owned(), None));
    let sent =
        [headed.timestamp(1_234), NewRecord::to(0).key("deleted"), NewRecord::to(0).value("")];

    let positions = kafka.produce(&topic, sent.clone()).await;

    let expected =
        [(2, 0), (0, 0), (0, 1)].map(|(partition, offset)| Position { partition, offset });
    assert_eq!(positions, expected);
    assert_eq!(kafka.end_offsets(&topic).await, BTreeMap::from([(0, 2), (1, 0), (2, 1)]));
    let read = kafka.read_all(&topic).await;
    for (index, sent) in [&sent[1], &sent[2], &sent[0]].into_iter().enumerate() {
        let (key, value) = (read[index].key.clone(), read[index].value.clone());
        assert_eq!((key, value), (sent.key.clone(), sent.value.clone()), "record {index}");
        assert_eq!(read[index].headers, sent.headers, "record {index}");
    }
    assert_eq!(read[2].timestamp, Some(1_234));
}

#[tokio::test]
async fn fifty_thousand_records_keep_their_order() {
    let kafka = KafkaCluster::shared().await;
    let topic = kafka.unique_topic("many", 4).await;
    let record = |n: i32| NewRecord::to(n % 4).value(n.to_string());

    kafka.produce(&topic, (0..50_000).map(record)).await;

    let read = kafka.read_all(&topic).await;
    assert_eq!(read.len(), 50_000);
    for (index, record) in read.iter().enumerate() {
        let (partition, place) = (index / 12_500, index % 12_500);
        let expected = (place * 4 + partition).to_string();
        assert_eq!(record.value.as_deref(), Some(expected.as_bytes()));
    }
}

#[tokio::test]
async fn equal_keys_share_a_partition() {
    let kafka = KafkaCluster::shared().await;
    let topic = kafka.unique_topic("keyed", 3).await;
    let record = |n: usize| NewRecord::default().key(format!("key-{}", n % 7)).value("v");

    let positions = kafka.produce(&topic, (0..70).map(record)).await;

    for (index, position) in positions.iter().enumerate() {
        assert_eq!(position.partition, positions[index % 7].partition);
    }
}

#[tokio::test]
async fn committed_offsets_carry_their_metadata_and_can_be_reset() {
    let kafka = KafkaCluster::shared().await;
    let topic = kafka.unique_topic("offsets", 2).await;
    let group = unique_name("group");
    assert_eq!(kafka.committed(&group, &topic).await, [untouched(0), untouched(1)]);

    let cuts = Committed { partition: 1, offset: Some(41), metadata: "v1;41-902".to_owned() };
    kafka.commit(&group, &topic, [cuts.clone()]).await;
    assert_eq!(kafka.committed(&group, &topic).await, [untouched(0), cuts.clone()]);

    // The same offset with other metadata, then a step back: an operator may do either.
    let recut = Committed { metadata: "v1;41-77".to_owned(), ..cuts.clone() };
    kafka.commit(&group, &topic, [recut.clone()]).await;
    assert_eq!(kafka.committed(&group, &topic).await[1], recut);
    let back = Committed { offset: Some(3), ..cuts };
    kafka.commit(&group, &topic, [back.clone()]).await;
    assert_eq!(kafka.committed(&group, &topic).await[1], back);

    assert!(!kafka.has_members(&group).await);
    kafka.delete_group(&group).await;
    assert_eq!(kafka.committed(&group, &topic).await, [untouched(0), untouched(1)]);
}

#[tokio::test]
async fn topics_grow_and_go() {
    let kafka = KafkaCluster::shared().await;
    let topic = kafka.unique_topic("grows", 1).await;
    kafka.add_partitions(&topic, 3).await;
    assert_eq!(kafka.partitions(&topic).await, [0, 1, 2]);
    kafka
        .produce(&topic, [NewRecord::to(2).value("new partition"), NewRecord::to(0).value("old")])
        .await;

    kafka.delete_topic(&topic).await;

    kafka.create_topic(&topic, 1, 1).await;
    assert_eq!(kafka.end_offsets(&topic).await, BTreeMap::from([(0, 0)]));
    assert_eq!(kafka.read_all(&topic).await, []);
    let again = kafka.produce(&topic, [NewRecord::to(0).value("new topic")]).await;
    assert_eq!(again, [Position { partition: 0, offset: 0 }]);
}

#[tokio::test]
#[should_panic(expected = "was not delivered")]
async fn a_refused_record_fails_the_test_that_sent_it() {
    let kafka = KafkaCluster::shared().await;
    let topic = unique_name("narrow");
    kafka.create_topic_with(&topic, 1, 1, &[("max.message.bytes", "2000")]).await;
    let sized = |length| NewRecord::to(0).value(vec![b'x'; length]);
    kafka.produce(&topic, [sized(1_000)]).await;

    kafka.produce(&topic, [sized(10), sized(5_000)]).await;
}
