//! Lanes that share a budget do not stand in each other's way.

use std::time::Duration;

use ldsink::pipeline::settings::CoalesceSettings;
use serde_json::json;

use crate::rig::{House, Rig, head};

const DEFINITIONS: usize = 40;

fn config(url: &str) -> String {
    let head = head("flood", url);
    format!(
        r#"{head}
  - name: metrics
    topics: [t]
    format: json
    when: row.t == "metric"
    metric:
      target: production
      key: $.row.k
      kind: custom
      event_key: $.row.k
      is_numeric: false
  - name: members
    topics: [t]
    format: json
    when: row.t == "member"
    segment_member:
      target: production
      segment: s
      kind: big
      create: true
      context_key: $.row.k
"#
    )
}

/// Of requests that are slow and have to wait for each other, every other one is for the few.
#[test]
fn a_flood_of_definitions_does_not_hold_up_members() {
    let house = House::new();
    let slow = json!([{ "action": { "kind": "delay", "ms": 20 } }]);
    house.runtime.block_on(house.sandbox.set_faults(slow));
    let coalesce = CoalesceSettings { max_parts: 100, linger: Duration::from_millis(1) };
    let mut rig = Rig::start(&house, &config(house.sandbox.url()), coalesce);
    for n in 0..DEFINITIONS {
        rig.record(0, &json!({ "t": "metric", "k": format!("m-{n}") }).to_string());
    }
    let made = |house: &House, operation: &str| {
        let journal = house.runtime.block_on(house.sandbox.journal());
        usize::try_from(journal["requests_by_operation"][operation].as_u64().unwrap_or(0)).unwrap()
    };
    rig.until("the first definition", |rig| made(rig.house, "metric_get") > 0);
    let member = rig.record(1, &json!({ "t": "member", "k": "u-1" }).to_string());
    rig.until("the member", |rig| rig.settled.contains_key(&(1, member)));
    let before_it = made(&house, "metric_create");
    assert!(before_it < DEFINITIONS / 2, "{before_it} of {DEFINITIONS} definitions went first");
    rig.drain();
    assert_eq!(made(&house, "metric_create"), DEFINITIONS);
    rig.end();
}
