//! P1 and P4: for any interleaving of changes, batches, failures and refusals LaunchDarkly ends as if
//! the changes had been applied one after another, and every record is settled exactly as often as
//! it has to be.

use std::cell::Cell;
use std::time::Duration;

use ldsink::pipeline::settings::CoalesceSettings;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};

use crate::rig::{House, Rig, Settled};
use crate::tables::{
    Change, Poison, SEGMENTS, Tables, change, config, member_key, metric_key, shown_lists,
};

/// A while of one weather. Whoever is refused is refused throughout, so that the model needs not
/// know how changes were batched.
#[derive(Debug, Clone)]
struct Phase {
    faults: Vec<Value>,
    poison: Poison,
    /// The most keys a request may hold. Taking somebody over from the other list takes two.
    key_limit: Option<(usize, u16)>,
    /// Each with what the consumer thread does after it.
    changes: Vec<(Change, Meanwhile)>,
}

#[derive(Debug, Clone, Copy)]
enum Meanwhile {
    NextRecord,
    Turn,
    Wait,
    Flush,
}

fn fault() -> impl Strategy<Value = Value> {
    let operation = select(vec![
        "segment_contexts",
        "segment_update",
        "segment_targets",
        "segment_create",
        "segment_get",
        "metric_get",
        "metric_create",
        "metric_update",
    ]);
    let status = |status: u16| json!({ "kind": "status", "status": status });
    let action = prop_oneof![
        4 => select(vec![500, 502, 503, 504, 408, 429, 409]).prop_map(status),
        1 => select(vec![401, 403, 405, 406]).prop_map(status),
        1 => (-5..8_i64).prop_map(|ms| json!({
            "kind": "status", "status": 429, "ratelimit_reset_ms_from_now": ms,
        })),
        1 => Just(json!({ "kind": "status", "status": 429, "retry_after_seconds": 0 })),
        2 => Just(json!({ "kind": "status", "status": 503, "after_accept": true })),
        4 => Just(json!({ "kind": "cut_after_accept" })),
        1 => Just(json!({ "kind": "cut_before_accept" })),
        2 => Just(json!({ "kind": "conflict" })),
        2 => (1..6_u64).prop_map(|ms| json!({ "kind": "delay", "ms": ms })),
    ];
    let usual = (operation, action, 1..4_u32, prop::option::of(Just(0.5))).prop_map(
        |(operation, action, times, probability)| {
            let mut rule = json!({ "operation": operation, "action": action, "times": times });
            if let Some(probability) = probability {
                rule["probability"] = probability.into();
            }
            rule
        },
    );
    // No answer at all: rare, because it takes a whole time-out.
    let hang = json!({ "operation": "segment_contexts", "times": 1, "action": { "kind": "hang" } });
    prop_oneof![40 => usual, 1 => Just(hang)]
}

fn phase() -> impl Strategy<Value = Phase> {
    let meanwhile = prop_oneof![
        6 => Just(Meanwhile::NextRecord),
        3 => Just(Meanwhile::Turn),
        2 => Just(Meanwhile::Wait),
        1 => Just(Meanwhile::Flush),
    ];
    let poison = (prop::option::weighted(0.4, 0..5_usize), prop::option::weighted(0.3, 0..2_usize))
        .prop_map(|(member, metric)| Poison { member, metric });
    (
        prop::collection::vec(fault(), 0..6),
        poison,
        prop::option::weighted(0.3, (2..7_usize, select(vec![400_u16, 413]))),
        prop::collection::vec((change(), meanwhile), 1..40),
    )
        .prop_map(|(faults, poison, key_limit, changes)| Phase {
            faults,
            poison,
            key_limit,
            changes,
        })
}

impl Phase {
    fn begin(&self, house: &House) {
        let status = |status: u16| json!({ "kind": "status", "status": status });
        let member = self.poison.member.map(|member| {
            let body = format!("\"{}\"", member_key(member));
            json!({ "body_contains": body, "action": status(400) })
        });
        let metric = self.poison.metric.map(metric_key);
        let made = metric.as_ref().map(|key| {
            let body = format!("\"{key}\"");
            json!({ "operation": "metric_create", "body_contains": body, "action": status(422) })
        });
        let changed = metric
            .as_ref()
            .map(|key| json!({ "operation": "metric_update", "key": key, "action": status(400) }));
        // Poison first: what struck before it could be carried out all the same.
        let poison = member.into_iter().chain(made).chain(changed);
        let rules: Value = poison.chain(self.faults.iter().cloned()).collect();
        let limit = self.key_limit.map(|(keys, status)| json!({ "keys": keys, "status": status }));
        let limit = json!({ "max_keys_per_request": limit });
        house.runtime.block_on(async {
            house.sandbox.set_faults(rules).await;
            house.sandbox.put("/sandbox/segment-rules", &limit).await;
        });
    }
}

/// A record that was taken in.
struct Taken {
    place: (i32, i64),
    obligations: usize,
    refused: bool,
}

/// Lets a rig do what the phases say. Gives what should have come of it.
fn play(rig: &mut Rig<'_>, phases: &[Phase]) -> (Tables, Vec<Taken>) {
    let mut tables = Tables::default();
    let mut records = Vec::new();
    for phase in phases {
        phase.begin(rig.house);
        for (change, meanwhile) in &phase.changes {
            let offset = rig.record(change.partition, &change.value());
            let refused = change.is_refused(&phase.poison);
            let (place, obligations) = ((change.partition, offset), change.obligations());
            records.push(Taken { place, obligations, refused });
            if !refused {
                tables.apply(change);
            }
            match meanwhile {
                Meanwhile::NextRecord => {}
                Meanwhile::Turn => rig.turn(false),
                Meanwhile::Wait => rig.turn(true),
                Meanwhile::Flush => rig.close(),
            }
        }
        rig.drain();
    }
    (tables, records)
}

fn hold(house: &House, project: &str, tables: &Tables) -> Result<(), TestCaseError> {
    let look = |path: String| house.runtime.block_on(house.sandbox.look(&path));
    for segment in SEGMENTS {
        let shown = look(format!("/sandbox/segments/{project}/production/{segment}"));
        prop_assert_eq!(shown_lists(shown.as_ref()), tables.lists(segment), "{}", segment);
    }
    for (key, name) in &tables.metrics {
        let shown = look(format!("/sandbox/metrics/{project}/{key}"));
        let definition = &shown.as_ref().map_or(&Value::Null, |shown| &shown["definition"]);
        prop_assert_eq!(definition["name"].as_str(), Some(name.as_str()), "{}", key);
        let unit = name.replace("n ", "u");
        prop_assert_eq!(definition["unit"].as_str(), Some(unit.as_str()), "{}", key);
    }
    Ok(())
}

#[test]
fn launchdarkly_ends_as_if_changes_were_applied_one_after_another() {
    let house = House::new();
    let case = Cell::new(0);
    let strategy = (prop::collection::vec(phase(), 1..4), 1..12_usize, 0..4_u64);
    let settings = ProptestConfig { max_shrink_time: 60_000, ..ProptestConfig::with_cases(200) };
    let mut runner = TestRunner::new(settings);
    let ended = runner.run(&strategy, |(phases, max_parts, linger)| {
        case.set(case.get() + 1);
        let project = format!("p-{}", case.get());
        let id = house.client_side_id(&project);
        let config = config(house.sandbox.url(), &project, &id);
        let linger = Duration::from_millis(linger);
        let mut rig = Rig::start(&house, &config, CoalesceSettings { max_parts, linger });
        let (tables, records) = play(&mut rig, &phases);
        hold(&house, &project, &tables)?;
        let settled = rig.end();
        for Taken { place, obligations, refused } in records {
            let Settled { accepted, dead } = settled.get(&place).copied().unwrap_or_default();
            prop_assert_eq!(accepted + dead, obligations, "settled: {:?}", place);
            prop_assert!(refused || dead == 0, "{:?} is a dead letter without a reason", place);
        }
        Ok(())
    });
    ended.unwrap();
}
