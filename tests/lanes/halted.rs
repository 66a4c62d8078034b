//! What waits because its route is halted: probes find out by themselves when it is mended, but not
//! for an assignment that is about to end.

use std::time::Duration;

use ldsink::pipeline::settings::CoalesceSettings;
use serde_json::json;

use crate::rig::{House, PARTITIONS, Rig, head};

/// As many records in each partition.
const RECORDS: usize = 8;
/// Turns in which a probe has time to go out, if it may.
const TURNS: usize = 50;

/// Each with the sandbox's word for its requests.
const OPERATIONS: [(&str, &str); 2] = [
    (
        "metric_event: { target: production, key: k, context: { user: $.row.user } }",
        "metric_import",
    ),
    (
        "segment_member: { target: production, segment: s, context_key: $.row.user, create: true }",
        "segment_contexts",
    ),
];

fn config(project: &str, url: &str, operation: &str) -> String {
    let head = head(project, url);
    format!(
        r"{head}
  - name: all
    topics: [t]
    format: json
    {operation}
batch: {{ max_events: 4, linger: 1s }}
checks: {{ enabled: false }}
dead_letter: {{ guard: {{ max_run: 3 }} }}
"
    )
}

#[test]
fn a_probe_is_not_begun_for_an_assignment_that_is_about_to_end() {
    let house = House::new();
    for (at, (operation, name)) in OPERATIONS.into_iter().enumerate() {
        let project = format!("halted-{at}");
        let config = config(&project, house.sandbox.url(), operation);
        let coalesce = CoalesceSettings { max_parts: 4, linger: Duration::from_millis(1) };
        let mut rig = Rig::start(&house, &config, coalesce);
        let refusal = json!([{
            "operation": name,
            "action": { "kind": "status", "status": 400 }
        }]);
        house.runtime.block_on(house.sandbox.set_faults(refusal));
        for n in 0..RECORDS {
            for partition in 0..PARTITIONS {
                rig.record(partition, &format!(r#"{{"user":"u-{n}-{partition}"}}"#));
            }
        }
        rig.until(&format!("probes of {name} to be refused, too"), |rig| rig.refusals.len() > 5);
        rig.close();
        rig.until("a drain to end", Rig::is_drained);
        let refused = rig.refusals.len();
        assert!(refused < RECORDS * 3, "{name}: nothing is left to wait");
        house.runtime.block_on(house.sandbox.clear_faults());
        for _ in 0..TURNS {
            rig.turn(true);
            assert!(rig.is_drained(), "{name}: it goes on");
        }
        (0..PARTITIONS).for_each(|partition| rig.revoke(partition));
        let settled = rig.end();
        assert_eq!(settled.values().map(|it| it.dead).sum::<usize>(), refused, "{name}");
        assert_eq!(settled.values().map(|it| it.accepted).sum::<usize>(), 0, "{name}");
    }
}
