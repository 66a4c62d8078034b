//! P2 for dead letters: settled only after Kafka acknowledged them (X1), and whole (X2).

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use crate::support::kafka::{KafkaCluster, NewRecord, StoredRecord, unique_name};
use crate::support::launchdarkly::LaunchDarkly;
use crate::support::oracle::{Expected, header};
use crate::support::service::{Service, order, orders_config};
use crate::support::wait::eventually;

const PATIENCE: Duration = Duration::from_secs(60);
/// The malformed record lies in the middle of what is produced first.
const BAD: i64 = 300;
const FIRST: usize = 600;
const ALL: usize = 1_200;

/// A service that meets a malformed record while the dead-letter topic cannot be written.
struct Blocked {
    kafka: Arc<KafkaCluster>,
    sandbox: LaunchDarkly,
    topic: String,
    group: String,
    expected: Expected,
    service: Service,
}

impl Blocked {
    async fn start(dead_letter_settings: &[(&str, &str)]) -> Self {
        Self::on(KafkaCluster::shared().await, 1, dead_letter_settings).await
    }

    async fn on(
        kafka: Arc<KafkaCluster>,
        replicas: usize,
        dead_letter_settings: &[(&str, &str)],
    ) -> Self {
        let sandbox = LaunchDarkly::start().await;
        let topic = unique_name("orders");
        kafka.create_topic(&topic, 1, replicas).await;
        kafka.create_topic_with(&format!("{topic}.dead"), 1, replicas, dead_letter_settings).await;
        let group = unique_name("group");
        let config = orders_config(kafka.bootstrap(), &topic, &group, sandbox.url());
        let service = Service::start(&config);
        let mut expected = Expected::default();
        expected.dead.insert((0, BAD), "invalid_json");
        Self { kafka, sandbox, topic, group, expected, service }
    }

    async fn produce(&mut self, range: std::ops::Range<usize>) {
        let ids: Vec<_> = range.map(|n| (n, format!("e-{n}"))).collect();
        let bad = usize::try_from(BAD).unwrap();
        let records = ids.iter().map(|(n, id)| {
            let value = if *n == bad { "{\"op\":".to_owned() } else { order("c", id, "1") };
            NewRecord::to(0).key(id.as_str()).value(value)
        });
        self.kafka.produce(&self.topic, records).await;
        self.expected
            .delivered
            .extend(ids.into_iter().filter(|(n, _)| *n != bad).map(|(_, id)| id));
    }

    async fn commits(&self, offset: i64) {
        eventually(PATIENCE, &format!("offset {offset} to be committed"), async || {
            let committed = self.committed().await;
            if committed == Some(offset) { Ok(()) } else { Err(format!("{committed:?}")) }
        })
        .await;
    }

    async fn committed(&self) -> Option<i64> {
        self.kafka.committed(&self.group, &self.topic).await[0].offset
    }

    /// What follows the malformed record is delivered, and progress waits for the letter all the same.
    async fn waits(&mut self) {
        self.produce(0..FIRST).await;
        self.expected.hold(PATIENCE, &self.sandbox).await;
        self.commits(BAD).await;
        self.produce(FIRST..ALL).await;
        self.expected.hold(PATIENCE, &self.sandbox).await;
        assert_eq!(self.committed().await, Some(BAD), "nobody has acknowledged the letter");
        assert!(self.kafka.read_all(&format!("{}.dead", self.topic)).await.is_empty());
    }

    /// The topic can be written again, so the letter is, and progress goes on.
    async fn goes_on(self) {
        let dead = format!("{}.dead", self.topic);
        self.kafka.alter_topic(&dead, &[]).await;
        let letters = self.expected.dead_letters(PATIENCE, &self.kafka, &dead).await;
        assert_eq!(letters.len(), 1);
        self.commits(i64::try_from(ALL).unwrap()).await;
        let ready = async || self.service.ask("/ready").await.0 == 200;
        eventually(PATIENCE, "readiness", ready).await;
        let ended = self.service.stop().await;
        assert_eq!(ended.status.code(), Some(0), "{}", ended.log);
        self.expected.account(&self.sandbox).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn progress_waits_for_a_letter_that_the_topic_refuses() {
    let mut blocked = Blocked::start(&[("max.message.bytes", "100")]).await;
    blocked.waits().await;
    blocked.service.says(PATIENCE, &["dead letters cannot be written"]).await;
    let (status, body) = blocked.service.ask("/ready").await;
    assert!(status == 503 && body.contains("dead_letter"), "{status} {body}");
    assert!(blocked.service.metric("ldsink_dead_letter_failures_total", &[]).await >= 1.0);
    blocked.goes_on().await;
}

/// The topic is there and takes nothing: fewer of its replicas are in step than it asks for.
#[tokio::test(flavor = "multi_thread")]
async fn progress_waits_for_a_letter_that_too_few_replicas_would_take() {
    let kafka = Arc::new(KafkaCluster::start(3).await);
    let mut blocked = Blocked::on(kafka, 3, &[("min.insync.replicas", "3")]).await;
    blocked.kafka.kill_broker(2).await;
    blocked.waits().await;
    blocked.service.says(PATIENCE, &["dead letters cannot be written"]).await;
    let (status, body) = blocked.service.ask("/ready").await;
    assert!(status == 503 && body.contains("dead_letter"), "{status} {body}");
    blocked.goes_on().await;
}

/// Somebody deletes the dead-letter topic after a first letter was written, and creates it again. The
/// producer has counted its letters in the old one.
#[tokio::test(flavor = "multi_thread")]
async fn progress_waits_for_a_letter_whose_topic_was_deleted() {
    let mut blocked = Blocked::start(&[]).await;
    let dead = format!("{}.dead", blocked.topic);
    let first = NewRecord::to(0).value("not json");
    blocked.kafka.produce(&blocked.topic, [first]).await;
    blocked.commits(1).await;
    assert_eq!(blocked.kafka.read_all(&dead).await.len(), 1);
    blocked.kafka.delete_topic(&dead).await;

    blocked.produce(0..FIRST).await;
    blocked.expected.hold(PATIENCE, &blocked.sandbox).await;
    blocked.commits(BAD + 1).await;
    blocked.kafka.create_topic(&dead, 1, 1).await;
    blocked.expected.dead = [((0, BAD + 1), "invalid_json")].into();
    blocked.expected.dead_letters(PATIENCE, &blocked.kafka, &dead).await;
    blocked.commits(i64::try_from(FIRST).unwrap() + 1).await;
    let ended = blocked.service.stop().await;
    assert_eq!(ended.status.code(), Some(0), "{}", ended.log);
}

/// A letter that was copied (refused by us) and one that was fetched again (refused by LaunchDarkly)
/// are both the record as it was.
#[tokio::test(flavor = "multi_thread")]
async fn letters_are_the_original_records() {
    let kafka = KafkaCluster::shared().await;
    let sandbox = LaunchDarkly::start().await;
    let refusal = json!([{
        "body_contains": "poison",
        "action": { "kind": "status", "status": 400 }
    }]);
    sandbox.set_faults(refusal).await;
    let topic = kafka.unique_topic("orders", 1).await;
    let originals = [
        ("invalid_json", b"not json \xff\x00".to_vec(), 1_700_000_000_123),
        ("refused_by_launchdarkly", order("c", "poison", "1").into_bytes(), 1_600_000_000_456),
    ]
    .map(|(reason, value, timestamp)| {
        let mut record = NewRecord::to(0)
            .key([0, 0xfe, 7])
            .value(value)
            .timestamp(timestamp)
            .header("trace", "t-1")
            .header("trace", "t-2")
            .header("bytes", [0xff, 0x00]);
        record.headers.push(("null".to_owned(), None));
        record.headers.push(("empty".to_owned(), Some(Vec::new())));
        (reason, record)
    });
    let good = |id: &str| NewRecord::to(0).key(id).value(order("c", id, "1"));
    let [(_, malformed), (_, poison)] = originals.clone();
    kafka.produce(&topic, [good("e-0"), malformed, good("e-1"), poison, good("e-2")]).await;

    let service = Service::start(&orders_config(
        kafka.bootstrap(),
        &topic,
        &unique_name("group"),
        sandbox.url(),
    ));
    let expected = Expected {
        delivered: ["e-0", "e-1", "e-2"].map(str::to_owned).into(),
        dead: [((0, 1), "invalid_json"), ((0, 3), "refused_by_launchdarkly")].into(),
    };
    expected.hold(PATIENCE, &sandbox).await;
    let letters = expected.dead_letters(PATIENCE, &kafka, &format!("{topic}.dead")).await;
    assert!(service.stop().await.status.success());

    for (reason, original) in originals {
        let is_its = |letter: &&StoredRecord| header(letter, "ldsink.reason") == reason;
        let letter = letters.iter().find(is_its).unwrap();
        assert_eq!(letter.key, original.key, "{reason}");
        assert_eq!(letter.value, original.value, "{reason}");
        assert_eq!(letter.timestamp, original.timestamp, "{reason}");
        let (own, ours) = letter.headers.split_at(original.headers.len());
        assert_eq!(own, original.headers, "{reason}");
        assert!(ours.iter().all(|(name, _)| {
            name.starts_with("ldsink.") || name.starts_with("__connect.errors.")
        }));
    }
}

/// The dead-letter topic takes less than the source topic did: what is large of a record is cut, be it
/// the value, the key or a header, and marked. Nothing waits for a topic that would never take it.
#[tokio::test(flavor = "multi_thread")]
async fn letters_that_are_too_large_are_cut_and_say_so() {
    let kafka = KafkaCluster::shared().await;
    let sandbox = LaunchDarkly::start().await;
    let topic = kafka.unique_topic("orders", 1).await;
    let dead = format!("{topic}.dead");
    kafka.create_topic_with(&dead, 1, 1, &[("max.message.bytes", "8000")]).await;
    let bad = || NewRecord::to(0).key("k").value("not json");
    // What gzip or zstd would not make small.
    let long: Vec<u8> =
        (0..40_000_u32).map(|n| n.wrapping_mul(2_654_435_761).to_be_bytes()[0]).collect();
    let records = [
        bad().value(long.clone()),
        bad().key(long.clone()),
        bad().header("small", "s").header("long", long.clone()),
        bad(),
    ];
    kafka.produce(&topic, records).await;
    kafka.produce(&topic, [NewRecord::to(0).key("e-0").value(order("c", "e-0", "1"))]).await;
    let group = unique_name("group");
    let service = Service::start(&orders_config(kafka.bootstrap(), &topic, &group, sandbox.url()));
    let expected = Expected {
        delivered: ["e-0".to_owned()].into(),
        dead: (0..4).map(|offset| ((0, offset), "invalid_json")).collect(),
    };
    expected.hold(PATIENCE, &sandbox).await;
    let letters = expected.dead_letters(PATIENCE, &kafka, &dead).await;
    eventually(PATIENCE, "everything to be committed", async || {
        kafka.committed(&group, &topic).await[0].offset == Some(5)
    })
    .await;
    let ended = service.stop().await;
    assert_eq!(ended.status.code(), Some(0), "{}", ended.log);
    let of = |offset: &str| {
        letters.iter().find(|letter| header(letter, "ldsink.offset") == offset).unwrap()
    };
    let is_marked = |letter: &StoredRecord| {
        letter.headers.iter().any(|(name, _)| name == "ldsink.shortened_from_bytes")
    };
    let marks = ["0", "1", "2", "3"].map(|offset| is_marked(of(offset)));
    assert_eq!(marks, [true, true, true, false]);
    let length = |part: &Option<Vec<u8>>| part.as_ref().map_or(0, Vec::len);
    assert!(long.starts_with(of("0").value.as_ref().unwrap()) && length(&of("0").value) > 1_000);
    assert!(long.starts_with(of("1").key.as_ref().unwrap()) && length(&of("1").key) > 1_000);
    assert_eq!(of("1").value.as_deref(), Some(&b"not json"[..]), "only what is large");
    let own: Vec<&str> = of("2").headers.iter().map(|(name, _)| name.as_str()).take(2).collect();
    assert_eq!(own, ["small", "ldsink.reason"]);
    assert_eq!(header(of("2"), "ldsink.shortened_from_bytes"), "40019");
}

/// The topic takes every letter alone, but not what the client makes of many that come at once.
#[tokio::test(flavor = "multi_thread")]
async fn letters_that_come_together_are_not_cut_for_that() {
    let kafka = KafkaCluster::shared().await;
    let sandbox = LaunchDarkly::start().await;
    let topic = kafka.unique_topic("orders", 1).await;
    let dead = format!("{topic}.dead");
    kafka.create_topic_with(&dead, 1, 1, &[("max.message.bytes", "8000")]).await;
    let value = format!("no json {}", "x".repeat(3_000));
    kafka.produce(&topic, (0..80).map(|_| NewRecord::to(0).key("k").value(value.as_str()))).await;
    let group = unique_name("group");
    let service = Service::start(&orders_config(kafka.bootstrap(), &topic, &group, sandbox.url()));
    let dead_letters = (0..80).map(|offset| ((0, offset), "invalid_json")).collect();
    let expected = Expected { dead: dead_letters, ..Expected::default() };
    let letters = expected.dead_letters(PATIENCE, &kafka, &dead).await;
    let whole = |letter: &&StoredRecord| letter.value.as_deref() == Some(value.as_bytes());
    assert_eq!(letters.iter().filter(whole).count(), 80);
    let ended = service.stop().await;
    assert_eq!(ended.status.code(), Some(0), "{}", ended.log);
}
