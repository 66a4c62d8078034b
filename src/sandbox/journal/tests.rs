//! Checks the journal's sums and pages against batches small enough to add up by hand.

use serde_json::{Value, json};

use super::*;
use crate::sandbox::event_check::check;

fn target(environment: &str) -> Target {
    Target { project: "shop".to_owned(), environment: environment.to_owned() }
}

fn batch(environment: &str, id: Option<u128>, body: &str) -> Batch {
    let target = target(environment);
    Batch {
        content: Fingerprint::of(&target, body.as_bytes()),
        target,
        payload_id: id.map(Uuid::from_u128),
        body: body.as_bytes().to_vec(),
        events: check(body.as_bytes()).expect("taken"),
    }
}

fn good(key: &str) -> String {
    format!(
        r#"{{"kind":"custom","key":"{key}","creationDate":1767225600000,"contextKeys":{{"user":"u"}}}}"#
    )
}

fn entry(received_at_ms: u64) -> RequestEntry {
    RequestEntry { received_at_ms, status: Some(202), bytes_wire: 10, ..RequestEntry::default() }
}

fn summary(journal: &Journal) -> Value {
    serde_json::to_value(journal.summary()).expect("json")
}

fn page(journal: &Journal, filter: &EventFilter, from: u64, limit: usize) -> Value {
    serde_json::to_value(journal.events(filter, from, limit)).expect("json")
}

fn seqs(page: &Value) -> Vec<u64> {
    let events = page["events"].as_array().expect("array");
    events.iter().map(|event| event["seq"].as_u64().expect("number")).collect()
}

#[test]
fn sums_tell_accepted_from_counted_t1() {
    let mut journal = Journal::new(JournalMode::Full);
    let body = format!("[{},{},{{\"kind\":\"custom\"}}]", good("a"), good("b"));
    journal.record(entry(5), Some(batch("test", Some(1), &body)));
    let late = format!("[{}]", good("a").replace("1767225600000", "1767225600"));
    journal.record(entry(9), Some(batch("test", None, &late)));
    let sums = summary(&journal);
    assert_eq!(sums["events_accepted"], 4);
    assert_eq!(sums["events_counted"], 2);
    assert_eq!(sums["malformed_by_reason"], json!({"key": 1, "creation_date_implausible": 1}));
    assert_eq!(sums["by_event_key"]["a"], json!({"accepted": 2, "counted": 1}));
    assert_eq!(sums["by_event_key"]["b"], json!({"accepted": 1, "counted": 1}));
    assert_eq!(sums["first_accepted_at_ms"], 5);
    assert_eq!(sums["last_accepted_at_ms"], 9);
    assert_eq!(sums["taken_without_payload_id"], 1);
    assert_eq!(sums["bytes_wire"], 20);
    assert_eq!(sums["requests_by_status"], json!({"202": 2}));
}

#[test]
fn a_repeat_adds_nothing_and_a_conflict_adds_its_events_t2() {
    let mut journal = Journal::new(JournalMode::Full);
    let (one, other) = (format!("[{}]", good("a")), format!("[{}]", good("b")));
    journal.record(entry(1), Some(batch("test", Some(1), &one)));
    journal.record(entry(2), Some(batch("test", Some(1), &one)));
    journal.record(entry(3), Some(batch("test", Some(1), &other)));
    let sums = summary(&journal);
    assert_eq!(sums["events_accepted"], 2);
    assert_eq!(sums["events_repeated"], 1);
    assert_eq!(sums["repeats_dropped"], 1);
    assert_eq!(sums["payload_id_conflicts"], 1);
    assert_eq!(sums["payload_ids_known"], 1);
    let requests = serde_json::to_value(journal.requests(0, 10)).expect("json");
    let flags = |index: usize, flag: &str| requests["requests"][index][flag].clone();
    assert_eq!(flags(1, "repeated"), true);
    assert_eq!(flags(2, "payload_id_conflict"), true);
    assert_eq!(flags(2, "repeated"), false);
}

#[test]
fn pages_show_every_event_once_in_order_k1_k2() {
    let mut journal = Journal::new(JournalMode::Full);
    for size in [3, 0, 1, 4] {
        let body = format!("[{}]", vec![good("a"); size].join(","));
        journal.record(entry(1), Some(batch("test", None, &body)));
    }
    for limit in 1..10 {
        let (mut from, mut seen) = (1, Vec::new());
        loop {
            let page = page(&journal, &EventFilter::default(), from, limit);
            seen.extend(seqs(&page));
            from = page["next"].as_u64().expect("number");
            if page["more"] == false {
                break;
            }
        }
        assert_eq!(seen, (1..=8).collect::<Vec<_>>(), "limit {limit}");
        assert_eq!(from, 9);
    }
    let tail = page(&journal, &EventFilter::default(), 9, 10);
    assert_eq!((seqs(&tail), &tail["next"], &tail["more"]), (vec![], &json!(9), &json!(false)));
}

#[test]
fn filters_choose_by_key_and_target() {
    let mut journal = Journal::new(JournalMode::Full);
    let body = format!("[{},{},{}]", good("a"), good("b"), good("a"));
    journal.record(entry(1), Some(batch("test", None, &body)));
    journal.record(entry(2), Some(batch("production", None, &body)));
    let by_key = EventFilter { event_key: Some("a".to_owned()), ..EventFilter::default() };
    assert_eq!(seqs(&page(&journal, &by_key, 0, 10)), [1, 3, 4, 6]);
    assert_eq!(seqs(&page(&journal, &by_key, 2, 2)), [3, 4]);
    let by_target =
        EventFilter { environment: Some("production".to_owned()), ..EventFilter::default() };
    assert_eq!(seqs(&page(&journal, &by_target, 0, 10)), [4, 5, 6]);
    let absent = EventFilter { event_key: Some("z".to_owned()), ..EventFilter::default() };
    assert_eq!(page(&journal, &absent, 0, 10)["next"], 7);
}

#[test]
fn events_come_back_as_they_were_written() {
    let mut journal = Journal::new(JournalMode::Full);
    let odd = r#"{"kind":"custom" ,  "key":"a","metricValue":1.50e0,"creationDate":1}"#;
    journal.record(entry(1), Some(batch("test", None, &format!("[ {odd} ]"))));
    let written = serde_json::to_string(&journal.events(&EventFilter::default(), 0, 1));
    let written = written.expect("json");
    assert!(written.contains(odd), "{written}");
    assert!(
        written.contains(r#""counts":false,"reason":"creation_date_implausible""#),
        "{written}"
    );
}

#[test]
fn counting_only_keeps_sums_and_payload_ids_j3() {
    let mut journal = Journal::new(JournalMode::Counts);
    let body = format!("[{}]", good("a"));
    journal.record(entry(1), Some(batch("test", Some(1), &body)));
    journal.record(entry(2), Some(batch("test", Some(1), &body)));
    assert_eq!(summary(&journal)["repeats_dropped"], 1);
    assert_eq!(summary(&journal)["mode"], "counts");
    assert!(seqs(&page(&journal, &EventFilter::default(), 0, 10)).is_empty());
    assert!(journal.requests.is_empty());
}

#[test]
fn a_reset_forgets_payload_ids_too() {
    let mut journal = Journal::new(JournalMode::Full);
    let body = format!("[{}]", good("a"));
    journal.record(entry(1), Some(batch("test", Some(1), &body)));
    journal.reset();
    assert_eq!(journal.record(entry(2), Some(batch("test", Some(1), &body))), 1);
    assert_eq!(summary(&journal)["events_accepted"], 1);
    assert_eq!(summary(&journal)["repeats_dropped"], 0);
}
