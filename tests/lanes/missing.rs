//! Segments and metrics that are not there, and answers that came too late to be seen.

use ldsink::model::outcome::RefusalReason;
use serde_json::{Value, json};

use crate::errands::{self, Errand};
use crate::rig::{House, Rig, Settled, head};
use crate::tables::shown_lists;

/// A route to a segment that nobody has made.
fn config(house: &House, segment: &str, more: &str) -> String {
    let head = head("p", house.sandbox.url());
    format!(
        r"{head}
  - name: members
    topics: [t]
    format: json
    segment_member: {{ target: production, segment: {segment}, context_key: $.row.m{more} }}
"
    )
}

fn row(segment: &str) -> String {
    json!({ "s": segment, "m": "m-1" }).to_string()
}

fn answer(house: &House, rules: Value) {
    house.runtime.block_on(house.sandbox.set_faults(rules));
}

fn mend(house: &House) {
    house.runtime.block_on(house.sandbox.clear_faults());
}

fn everything_is_unknown(house: &House) {
    answer(house, json!([{ "action": { "kind": "status", "status": 404 } }]));
}

fn is_member(house: &House, segment: &str) -> bool {
    let path = format!("/sandbox/segments/p/production/{segment}");
    let shown = house.runtime.block_on(house.sandbox.look(&path));
    shown_lists(shown.as_ref())[0].contains(&("user".to_owned(), "m-1".to_owned()))
}

fn wait_for_halt(rig: &mut Rig<'_>, lane: &str) {
    rig.until("the lane to halt", |rig| rig.is_halted(lane));
    assert!(rig.settled.is_empty() && rig.refusals.is_empty(), "P7");
}

#[test]
fn a_segment_that_a_record_names_and_nobody_made_is_the_record_s_fault() {
    let house = House::new();
    let mut rig = Rig::lazy(&house, &config(&house, "$.row.s", ""));
    rig.record(0, &row("nobody-s"));
    rig.drain();
    let [refusal] = &rig.refusals[..] else { panic!("{:?}", rig.refusals) };
    assert_eq!((refusal.reason, refusal.status), (RefusalReason::SegmentMissing, Some(404)));
    assert_eq!(refusal.detail, "target production: the segment does not exist");
}

#[test]
fn an_unknown_environment_is_nobody_s_segment_p7() {
    let house = House::new();
    let mut maker = Rig::lazy(&house, &config(&house, "$.row.s", ", create: true"));
    maker.record(0, &json!({ "s": "s", "m": "m-2" }).to_string());
    maker.drain();
    let mut rig = Rig::lazy(&house, &config(&house, "$.row.s", ""));
    everything_is_unknown(&house);
    rig.record(0, &row("s"));
    rig.close();
    wait_for_halt(&mut rig, "segment_member");
    mend(&house);
    rig.drain();
    assert!(is_member(&house, "s") && rig.refusals.is_empty(), "{:?}", rig.refusals);
}

#[test]
fn a_segment_that_the_configuration_names_is_waited_for() {
    let house = House::new();
    let mut rig = Rig::lazy(&house, &config(&house, "vips", ""));
    rig.record(0, &row("-"));
    rig.close();
    rig.until("the fault to be told", |rig| {
        let reasons = rig.health.ready().reasons;
        reasons.get("segment vips").is_some_and(|it| it.contains("does not exist"))
    });
    let mut maker = Rig::lazy(&house, &config(&house, "vips", ", create: true"));
    maker.record(0, &json!({ "m": "m-2" }).to_string());
    maker.drain();
    rig.drain();
    assert!(is_member(&house, "vips") && rig.refusals.is_empty());
    assert!(rig.health.ready().ok);
}

#[test]
fn a_named_segment_that_cannot_be_made_tells_why_and_is_waited_for() {
    let house = House::new();
    let refused = json!({ "kind": "status", "status": 400 });
    answer(&house, json!([{ "operation": "segment_create", "action": refused }]));
    let mut rig = Rig::lazy(&house, &config(&house, "vips", ", create: true"));
    rig.record(0, &row("-"));
    rig.close();
    rig.until("the fault to be told", |rig| {
        let reasons = rig.health.ready().reasons;
        reasons.get("segment vips").is_some_and(|it| it.contains("cannot be created"))
    });
    mend(&house);
    rig.drain();
    assert!(is_member(&house, "vips") && rig.refusals.is_empty() && rig.health.ready().ok);
}

#[test]
fn a_segment_that_shows_up_late_is_made_once_and_waited_for() {
    let house = House::new();
    let away = json!({ "kind": "status", "status": 404 });
    answer(&house, json!([{ "operation": "segment_contexts", "times": 5, "action": away }]));
    let mut rig = Rig::lazy(&house, &config(&house, "$.row.s", ", create: true"));
    rig.record(0, &row("late"));
    rig.drain();
    assert!(is_member(&house, "late") && rig.refusals.is_empty());
    let requests = house.runtime.block_on(house.sandbox.requests());
    let at = |request: &Value| request["received_at_ms"].as_i64().unwrap();
    let took = at(&requests[requests.len() - 1]) - at(&requests[0]);
    // Five rounds with four pauses, which begin at a millisecond here.
    assert_eq!(requests.len(), 11, "{requests:#?}");
    assert!(took >= 4, "a round every {took}/5 ms hammers");
}

#[test]
fn a_metric_that_is_not_there_need_not_be_archived_but_its_project_must_be() {
    let house = House::new();
    let config = errands::config(house.sandbox.url(), "p", &house.client_side_id("p"));
    let mut rig = Rig::lazy(&house, &config);
    everything_is_unknown(&house);
    rig.record(0, &Errand::MetricArchiving.record(1));
    rig.close();
    wait_for_halt(&mut rig, "metric");
    mend(&house);
    rig.drain();
    assert_eq!(rig.settled[&(0, 0)], Settled { accepted: 1, dead: 0 });
}

/// A patch cannot always be repeated: what it took away, for instance, is not there any more.
#[test]
fn a_patch_that_was_carried_out_unseen_is_no_refusal() {
    let house = House::new();
    let config = errands::config(house.sandbox.url(), "p", &house.client_side_id("p"));
    let mut rig = Rig::lazy(&house, &config);
    let patch = Errand::MetricPatch;
    rig.record(0, &patch.record(1));
    rig.drain();
    let unseen = json!({ "kind": "cut_after_accept" });
    let refused = json!({ "kind": "status", "status": 400 });
    let rule = |action| json!({ "operation": "metric_update", "times": 1, "action": action });
    answer(&house, json!([rule(unseen), rule(refused)]));
    rig.record(0, &patch.record(2));
    rig.drain();
    assert!(rig.refusals.is_empty(), "{:?}", rig.refusals);
    assert!(patch.is_done(&house, "p", 2));
    let requests = house.runtime.block_on(house.sandbox.requests());
    let patches = requests.iter().filter(|it| it["operation"] == patch.operation()).count();
    assert_eq!(patches, 2, "{requests:#?}");
}

#[test]
fn one_route_that_may_create_the_segment_makes_it_for_all() {
    let house = House::new();
    let maker = config(&house, "vips", ", create: true");
    let follower = "  - name: follower
    topics: [t]
    format: json
    segment_member: { target: production, segment: vips, context_key: $.row.banned, list: excluded }
";
    let mut rig = Rig::lazy(&house, &format!("{maker}{follower}"));
    rig.record(0, &json!({ "m": "m-1", "banned": "m-2" }).to_string());
    rig.drain();
    assert!(is_member(&house, "vips") && rig.refusals.is_empty());
}

#[test]
fn who_is_to_leave_a_segment_that_nobody_made_has_left_it() {
    let house = House::new();
    let exclusive = ", exclusive: [s-1, s-2, never-made]";
    let mut rig = Rig::lazy(&house, &config(&house, "$.row.s", exclusive));
    for key in ["s-1", "s-2"] {
        let body = json!({ "key": key, "name": key, "unbounded": true });
        house.runtime.block_on(house.sandbox.create("segments/p/production", &body));
    }
    rig.record(0, &row("s-1"));
    rig.drain();
    rig.record(0, &row("s-2"));
    rig.drain();
    assert!(!is_member(&house, "s-1") && is_member(&house, "s-2"));
    assert!(rig.refusals.is_empty(), "{:?}", rig.refusals);
    // Who is to be in it is still told.
    rig.record(0, &row("never-made"));
    rig.drain();
    let [refusal] = &rig.refusals[..] else { panic!("{:?}", rig.refusals) };
    assert_eq!(refusal.reason, RefusalReason::SegmentMissing);
    assert!(!is_member(&house, "s-2"));
}
