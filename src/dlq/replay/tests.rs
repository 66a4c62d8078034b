//! What a replay does with letters of every kind.

use super::*;
use crate::model::letter as headers;

fn letter(offset: i64, origin: i64, told: &[(&str, &str)]) -> Letter {
    let origin_text = origin.to_string();
    let mut list = vec![("trace", "t-1"), (headers::REASON, "missing_field")];
    for (name, value) in [
        (headers::TOPIC, "orders"),
        (headers::PARTITION, "3"),
        (headers::OFFSET, origin_text.as_str()),
        (headers::ROUTE, "checkout"),
        (headers::FAILED_AT, "2026-01-01T00:00:00Z"),
        (headers::FIRST_FAILED_AT, "2025-12-01T00:00:00Z"),
        (headers::REPLAY_COUNT, "0"),
    ] {
        let given = told.iter().find(|(known, _)| *known == name);
        list.push((name, given.map_or(value, |(_, value)| *value)));
    }
    let known: Vec<&str> = list.iter().map(|(name, _)| *name).collect();
    list.extend(told.iter().filter(|(name, _)| !known.contains(name)));
    list.push(("__connect.errors.topic", "orders"));
    let header = |(name, value): (&str, &str)| (name.to_owned(), Some(value.as_bytes().to_vec()));
    Letter::of(OwnedRecord {
        partition: Partition::new("dead", 0),
        offset,
        timestamp_ms: Some(7),
        key: Some(b"k".to_vec()),
        value: Some(b"{}".to_vec()),
        headers: list.into_iter().map(header).collect(),
    })
    .unwrap()
}

fn replays(order: Order) -> Replays {
    let mut replays = Replays::new(order);
    replays.resume(0, 0, None).unwrap();
    replays
}

fn order() -> Order {
    let topics = vec![TopicSelector::parse("^ord[a-z]+$").unwrap()];
    let routes = ["checkout", "vip"].map(|name| (name.to_owned(), topics.clone()));
    Order {
        selection: Selection::default(),
        ceiling: 3,
        to_route: None,
        again: false,
        routes: routes.into(),
    }
}

fn headers_of(verdict: Verdict) -> Vec<(String, String)> {
    let Verdict::Send(record) = verdict else { panic!("{verdict:?}") };
    assert_eq!(
        (record.partition.to_string().as_str(), record.timestamp_ms),
        ("orders[3]", Some(7))
    );
    let text = |value: Option<Vec<u8>>| String::from_utf8(value.unwrap()).unwrap();
    record.headers.into_iter().map(|(name, value)| (name, text(value))).collect()
}

fn pairs(list: &[(&str, &str)]) -> Vec<(String, String)> {
    list.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

#[test]
fn a_replayed_record_is_the_original_with_its_history_d3() {
    let mut replays = replays(order());
    let sent = headers_of(replays.judge(&letter(0, 10, &[])));
    let (count, first) = (headers::REPLAY_COUNT, headers::FIRST_FAILED_AT);
    let since = "2025-12-01T00:00:00Z";
    assert_eq!(sent, pairs(&[("trace", "t-1"), (count, "1"), (first, since)]));
    let told = [(headers::REPLAY_COUNT, "2"), (headers::ONLY_ROUTES, "vip")];
    let sent = headers_of(replays.judge(&letter(1, 11, &told)));
    let only = (headers::ONLY_ROUTES, "vip");
    assert_eq!(sent, pairs(&[("trace", "t-1"), (count, "3"), (first, since), only]));
}

#[test]
fn a_letter_is_replayed_once_and_so_is_its_twin_j1() {
    let mut replays = replays(order());
    let (first, twin, other) = (letter(0, 10, &[]), letter(1, 10, &[]), letter(2, 11, &[]));
    assert!(matches!(replays.judge(&first), Verdict::Send(_)));
    assert_eq!(replays.judge(&twin), Verdict::Replayed);
    replays.mark(&[first]).unwrap();
    let known: Vec<_> = replays.marks().collect();
    assert_eq!(known, [(0, 1, "ldsink-dlq/1".to_owned())]);

    // Another time, from what Kafka has kept.
    let mut later = Replays::new(order());
    later.resume(0, 0, Some((1, "ldsink-dlq/1"))).unwrap();
    assert_eq!(later.judge(&letter(0, 10, &[])), Verdict::Replayed);
    assert_eq!(later.judge(&twin), Verdict::Replayed);
    assert!(matches!(later.judge(&other), Verdict::Send(_)));

    let mut again = Replays::new(Order { again: true, ..order() });
    again.resume(0, 0, Some((1, "ldsink-dlq/1"))).unwrap();
    assert!(matches!(again.judge(&letter(0, 10, &[])), Verdict::Send(_)));
    assert_eq!(again.judge(&twin), Verdict::Replayed, "not twice in one go");
}

#[test]
fn what_must_not_or_cannot_be_replayed_is_left_with_its_reason() {
    for (told, says) in [
        (&[(headers::REPLAY_COUNT, "3")][..], "3 times"),
        (&[(headers::SHORTENED_FROM, "10000")], "10000 bytes"),
        (&[(headers::TOPIC, "gone")], "no route reads `gone`"),
        (&[(headers::ONLY_ROUTES, "vip,refund")], "route `refund` does not read `orders`"),
        (&[(headers::PARTITION, "x")], "do not tell where"),
    ] {
        let verdict = replays(order()).judge(&letter(0, 10, told));
        let Verdict::Left(why) = verdict else { panic!("{told:?}: {verdict:?}") };
        assert!(why.contains(says), "{why}");
    }
    let to_route = Some("checkout".to_owned());
    let mut mended = replays(Order { to_route, ..order() });
    let sent = headers_of(mended.judge(&letter(0, 10, &[(headers::ONLY_ROUTES, "refund")])));
    assert!(sent.contains(&(headers::ONLY_ROUTES.to_owned(), "checkout".to_owned())));
    // What was refused before anything was sent is still for all routes.
    let sent = headers_of(mended.judge(&letter(1, 11, &[])));
    assert!(sent.iter().all(|(name, _)| name != headers::ONLY_ROUTES));
}

#[test]
fn selections_are_by_reason_route_topic_time_and_place() {
    let known = letter(4, 10, &[(headers::ROUTE, "checkout,vip")]);
    let text = |words: &[&str]| words.iter().map(|it| (*it).to_owned()).collect::<Vec<_>>();
    let at = 1_767_225_600_000;
    for (selection, means) in [
        (Selection::default(), true),
        (Selection { reasons: text(&["missing_field", "x"]), ..Selection::default() }, true),
        (Selection { reasons: text(&["x"]), ..Selection::default() }, false),
        (Selection { routes: text(&["vip"]), ..Selection::default() }, true),
        (Selection { routes: text(&["checkou"]), ..Selection::default() }, false),
        (Selection { topics: text(&["orders"]), ..Selection::default() }, true),
        (Selection { topics: text(&["dead"]), ..Selection::default() }, false),
        (Selection { since_ms: Some(at), until_ms: Some(at + 1), ..Selection::default() }, true),
        (Selection { since_ms: Some(at + 1), ..Selection::default() }, false),
        (Selection { until_ms: Some(at), ..Selection::default() }, false),
        (Selection { places: vec!["0@4".parse().unwrap()], ..Selection::default() }, true),
        (Selection { places: vec!["1@4".parse().unwrap()], ..Selection::default() }, false),
    ] {
        assert_eq!(selection.means(&known), means, "{selection:?}");
    }
    let nameless = letter(4, 10, &[(headers::FAILED_AT, "?")]);
    assert!(!Selection { since_ms: Some(0), ..Selection::default() }.means(&nameless));
}
