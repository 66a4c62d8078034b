//! Letters: what their headers tell, and what a replayed record brings along.

use rdkafka::message::Headers;

use super::*;
use crate::model::outcome::RefusalReason;

const NOW: i64 = 1_767_225_600_250;

fn record(value: Vec<u8>) -> OwnedRecord {
    OwnedRecord {
        partition: Partition::new("orders", 3),
        offset: 41,
        timestamp_ms: Some(5),
        key: Some(b"k".to_vec()),
        value: Some(value),
        headers: vec![("trace".to_owned(), Some(b"t-1".to_vec()))],
    }
}

fn refusal(stage: Stage) -> Refusal {
    Refusal {
        reason: RefusalReason::MissingField,
        stage,
        route: None,
        detail: "metric_event.value: $.row.total is absent or null".to_owned(),
        status: None,
        answer: None,
        attempts: 0,
    }
}

fn mapping() -> TopicMapping {
    let routes = ["checkout", "refund", "vip"].map(std::sync::Arc::from).to_vec();
    TopicMapping { routes, fingerprint: uuid::Uuid::nil() }
}

/// The headers of a letter, by name; a name that comes twice fails.
fn told(
    record: OwnedRecord,
    refusal: &Refusal,
    routes: RouteSet,
) -> std::collections::BTreeMap<String, String> {
    let mapping = mapping();
    let told = Circumstances { refusal, routes, mapping: Some(&mapping), now_ms: NOW };
    let headers = Letter::new(record, told).headers();
    let mut found = std::collections::BTreeMap::new();
    for header in headers.iter() {
        let text = String::from_utf8_lossy(header.value.unwrap_or_default()).into_owned();
        assert!(found.insert(header.key.to_owned(), text).is_none(), "{} twice", header.key);
    }
    found
}

#[test]
fn the_reason_and_the_place_are_in_the_headers_beside_the_record_s_own() {
    let refusal = Refusal { route: Some("checkout".to_owned()), ..refusal(Stage::Route) };
    let told = told(record(b"{}".to_vec()), &refusal, RouteSet::of(0));
    for (name, value) in [
        ("trace", "t-1"),
        ("ldsink.reason", "missing_field"),
        ("ldsink.remedy", RefusalReason::MissingField.remedy()),
        ("ldsink.route", "checkout"),
        ("ldsink.topic", "orders"),
        ("ldsink.partition", "3"),
        ("ldsink.offset", "41"),
        ("ldsink.failed_at", "2026-01-01T00:00:00.25Z"),
        ("ldsink.first_failed_at", "2026-01-01T00:00:00.25Z"),
        ("ldsink.mapping", "00000000-0000-0000-0000-000000000000"),
        ("ldsink.replay_count", "0"),
        ("__connect.errors.topic", "orders"),
        ("__connect.errors.partition", "3"),
        ("__connect.errors.offset", "41"),
    ] {
        assert_eq!(told.get(name).map(String::as_str), Some(value), "{name}");
    }
    // Nothing of it was sent, so a replay is for all routes.
    assert_eq!(told.get("ldsink.only_routes"), None);
}

#[test]
fn what_launchdarkly_refused_is_still_for_the_routes_that_it_refused() {
    let answer = Some("é".repeat(300));
    let refusal = Refusal { status: Some(400), answer, ..refusal(Stage::Deliver) };
    let some = told(record(Vec::new()), &refusal, RouteSet::of(1).and(RouteSet::of(2)));
    assert_eq!(some["ldsink.only_routes"], "refund,vip");
    assert_eq!(some["ldsink.route"], "refund,vip");
    assert_eq!(some["ldsink.status"], "400");
    assert_eq!(some["ldsink.answer"], "é".repeat(256), "512 bytes, whole characters");
    let all = told(record(Vec::new()), &refusal, RouteSet::ALL);
    assert_eq!(all.get("ldsink.only_routes"), None);
}

#[test]
fn a_replayed_record_keeps_its_history_and_what_it_is_still_for() {
    let mut again = record(Vec::new());
    for (name, value) in [
        ("ldsink.replay_count", "2"),
        ("ldsink.first_failed_at", "2025-01-01T00:00:00Z"),
        ("ldsink.only_routes", "vip"),
    ] {
        again.headers.push((name.to_owned(), Some(value.as_bytes().to_vec())));
    }
    let by_us = told(again.clone(), &refusal(Stage::Route), RouteSet::of(2));
    assert_eq!(by_us["ldsink.replay_count"], "2");
    assert_eq!(by_us["ldsink.first_failed_at"], "2025-01-01T00:00:00Z");
    assert_eq!(by_us["ldsink.failed_at"], "2026-01-01T00:00:00.25Z");
    assert_eq!(by_us["ldsink.only_routes"], "vip");
    let by_launchdarkly = told(again, &refusal(Stage::Deliver), RouteSet::of(2));
    assert_eq!(by_launchdarkly["ldsink.only_routes"], "vip");
}

#[test]
fn shortening_cuts_what_is_large_until_little_is_left_and_says_how_much_there_was() {
    let refusal = refusal(Stage::Decode);
    let told =
        Circumstances { refusal: &refusal, routes: RouteSet::ALL, mapping: None, now_ms: NOW };
    let long = || vec![b'x'; 10_000];
    let header = |name: &str, value| (name.to_owned(), Some(value));
    let (small, large) = (record(b"small".to_vec()), record(long()));
    let headers = vec![header("a", b"1".to_vec()), header("long", long()), header("b", long())];
    for (record, bytes, times) in [
        (large, "10009", 4),
        (OwnedRecord { key: Some(long()), ..small.clone() }, "10013", 4),
        (OwnedRecord { headers, ..small.clone() }, "20013", 2),
        (OwnedRecord { key: Some(long()), headers: Vec::new(), ..record(long()) }, "20000", 8),
    ] {
        let has_small_value = record.value == small.value;
        let mut letter = Letter::new(record, told);
        let shortened = std::iter::from_fn(|| letter.shorten().then_some(())).count();
        assert_eq!(shortened, times, "{bytes}");
        assert!(letter.record.size() <= 2 * SHORTEST_BYTES, "{bytes}");
        assert_eq!(letter.value() == small.value.as_deref(), has_small_value, "only what is large");
        let headers = letter.headers();
        let told = headers.iter().find(|h| h.key == "ldsink.shortened_from_bytes").unwrap();
        assert_eq!(told.value, Some(bytes.as_bytes()));
        assert!(headers.iter().all(|it| it.value.unwrap_or_default().len() < 10_000));
    }
}
