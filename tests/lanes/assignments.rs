//! P4 when partitions go elsewhere: what is somebody else's is left to them, what is ours is done.

use serde_json::json;

use crate::errands::{self, Errand};
use crate::rig::{House, Rig};
use crate::tables::{self, shown_lists};

fn fail(house: &House, operation: &str) {
    let down = json!({ "kind": "status", "status": 503 });
    let rules = json!([{ "operation": operation, "action": down }]);
    house.runtime.block_on(house.sandbox.set_faults(rules));
}

fn mend(house: &House) {
    house.runtime.block_on(house.sandbox.clear_faults());
}

/// Until the lane is busy with what was sent on.
fn wait_for_attempts(rig: &mut Rig<'_>, operation: &str) {
    rig.until("some attempts", |rig| rig.requests(operation, "unavailable") > 1);
}

#[test]
fn a_definition_that_somebody_else_sends_holds_up_no_other_partition() {
    let house = House::new();
    let config = errands::config(house.sandbox.url(), "p", &house.client_side_id("p"));
    let mut rig = Rig::lazy(&house, &config);
    fail(&house, "metric_get");
    rig.record(0, &Errand::MetricPatch.record(1));
    rig.record(1, &Errand::MetricPatch.record(2));
    rig.close();
    wait_for_attempts(&mut rig, "metric");
    rig.revoke(1);
    rig.until("the partition that is still ours", |rig| rig.is_settled(0));
}

#[test]
fn what_another_member_of_the_group_defined_is_not_taken_for_ours() {
    let house = House::new();
    let config = errands::config(house.sandbox.url(), "p", &house.client_side_id("p"));
    let mut ours = Rig::lazy(&house, &config);
    let mut theirs = Rig::lazy(&house, &config);
    let name = |member| Errand::MetricPatch.is_done(&house, "p", member);
    ours.record(0, &Errand::MetricPatch.record(1));
    ours.drain();
    ours.revoke(0);
    theirs.record(0, &Errand::MetricPatch.record(2));
    theirs.drain();
    assert!(name(2));
    ours.assign(0);
    ours.record(0, &Errand::MetricPatch.record(1));
    ours.drain();
    assert!(name(1), "a definition we remember was read under another assignment");
}

/// A row of one partition includes the member, one of another takes it off the list of excluded.
fn one_of_two_wishes_stays(busy: bool) {
    let house = House::new();
    let config = tables::config(house.sandbox.url(), "p", &house.client_side_id("p"));
    let mut rig = Rig::lazy(&house, &config);
    let row = |table: &str, on: bool, member: usize| {
        let row = json!({ "t": table, "s": "b-0", "m": format!("m-{member}"), "on": on });
        json!({ "op": "c", "before": null, "after": row }).to_string()
    };
    fail(&house, "segment_contexts");
    if busy {
        rig.record(2, &row("big", true, 2));
        rig.close();
        wait_for_attempts(&mut rig, "segment_member");
    }
    rig.record(0, &row("big", true, 1));
    rig.record(1, &row("notbig", false, 1));
    if !busy {
        rig.close();
        wait_for_attempts(&mut rig, "segment_member");
    }
    rig.revoke(1);
    mend(&house);
    rig.until("the end of what was under way", |rig| !busy || rig.is_settled(2));
    rig.drain();
    let path = "/sandbox/segments/p/production/b-0";
    let shown = house.runtime.block_on(house.sandbox.look(path));
    let member = ("user".to_owned(), "m-1".to_owned());
    assert!(shown_lists(shown.as_ref())[0].contains(&member), "{shown:?}");
}

#[test]
fn a_wish_that_stood_beside_somebody_else_s_is_sent() {
    one_of_two_wishes_stays(true);
}

#[test]
fn a_wish_under_way_beside_somebody_else_s_goes_on_alone() {
    one_of_two_wishes_stays(false);
}
