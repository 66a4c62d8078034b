//! What `BODY_FORMAT` stands for: the bytes that unchanged mappings make of unchanged records.
//!
//! A batch that was cut by one version and is sent again by another goes out under the same payload ID
//! as long as the number is the same, and must then be the same bytes (P3).

use std::fmt::Write;
use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};

use super::explainer;
use crate::pipeline::route::BODY_FORMAT;
use crate::preview::explain::Fate;
use crate::preview::input;

fn fixture(name: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "tests/fixtures/bodies", name].iter().collect()
}

fn read(name: &str) -> String {
    fs::read_to_string(fixture(name)).unwrap()
}

/// Each record's bodies, one a target, or why it has none; one record a line.
fn made() -> String {
    let explainer = explainer(&read("ldsink.yaml"));
    let mut made = String::new();
    for (line, offset) in read("records.jsonl").lines().zip(0..) {
        let explanation = explainer.explain(&input::record(line, offset).unwrap());
        let bodies: Vec<String> = explanation
            .batches
            .iter()
            .map(|batch| String::from_utf8(batch.body.to_vec()).unwrap())
            .collect();
        let refused = match &explanation.fate {
            Fate::Refused(refusal) => Some(refusal.reason.as_str()),
            Fate::Delivered | Fate::Filtered | Fate::Unread => None,
        };
        writeln!(made, "{}", json!({ "bodies": bodies, "refused": refused })).unwrap();
    }
    made
}

#[test]
fn bodies_change_with_their_format_number_only() {
    let (made, kept) = (made(), read("bodies.jsonl"));
    let (head, bodies) = kept.split_once('\n').unwrap_or(("{}", ""));
    let head: Value = serde_json::from_str(head).unwrap();
    let is_new = head["body_format"] != json!(BODY_FORMAT);
    if is_new && std::env::var_os("UPDATE_BODIES").is_some() {
        let head = json!({ "body_format": BODY_FORMAT });
        return fs::write(fixture("bodies.jsonl"), format!("{head}\n{made}")).unwrap();
    }
    assert!(
        !is_new,
        "BODY_FORMAT is {BODY_FORMAT}, the bodies are of {head}: run this test with UPDATE_BODIES=1 \
         and look at what differs"
    );
    for (number, (made, kept)) in made.lines().zip(bodies.lines()).enumerate() {
        assert_eq!(made, kept, "record {number}: its bytes changed, so raise BODY_FORMAT");
    }
    assert_eq!(made.lines().count(), bodies.lines().count());
}

#[test]
fn the_bodies_have_something_of_everything() {
    let mut ends = [0; 4];
    for line in made().lines().map(|line| serde_json::from_str::<Value>(line).unwrap()) {
        let bodies = line["bodies"].as_array().unwrap();
        for body in bodies {
            let events: Value = serde_json::from_str(body.as_str().unwrap()).unwrap();
            assert!(events.as_array().is_some_and(|events| !events.is_empty()), "{body}");
        }
        let end = if line["refused"].is_string() { 3 } else { bodies.len() };
        ends[end] += 1;
    }
    assert!(ends.iter().all(|count| *count > 3), "none, one, two targets, refused: {ends:?}");
}
