//! A service that does everything: events, members and definitions, some of them at fault.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::OnceCell;

use super::stand::{Stand, WHOLE};
use crate::support::kafka::NewRecord;
use crate::support::launchdarkly::LaunchDarkly;
use crate::support::service::{Service, order};

const HERE: (&str, &str) = ("instance", WHOLE);
/// Between two waves of records.
const STEP: Duration = Duration::from_millis(250);

static SANDBOX: OnceCell<LaunchDarkly> = OnceCell::const_new();

/// A sandbox with one metric, that refuses one event and fails at times.
async fn sandbox() -> &'static LaunchDarkly {
    SANDBOX
        .get_or_init(async || {
            let sandbox = LaunchDarkly::start().await;
            sandbox.create("metrics/storefront", &metric("checkout-total")).await;
            // High enough to be told and not felt.
            let limit = json!({ "scope": "token", "limit": 500, "window_ms": 2_000 });
            sandbox.put("/sandbox/limits", &json!({ "limits": [limit] })).await;
            let status = |status: u16| json!({ "kind": "status", "status": status });
            let faults = json!([
                { "body_contains": "refused-event", "action": status(400) },
                { "operation": "metric_import", "probability": 0.1, "action": status(503) },
            ]);
            sandbox.set_faults(faults).await;
            sandbox
        })
        .await
}

fn metric(event_key: &str) -> Value {
    json!({ "key": event_key, "kind": "custom", "isNumeric": false, "eventKey": event_key,
        "analysisUnits": ["user"] })
}

fn config(stand: &Stand, url: &str) -> String {
    let topic = stand.topic(WHOLE);
    let whole = stand.config(WHOLE, url);
    let (head, tail) = whole.split_once("routes:\n").unwrap();
    let (_, tail) = tail.split_once("batch:").unwrap();
    let routes = format!(
        r#"routes:
  - name: checkout
    topics: [{topic}]
    format: debezium
    when: op == "create" && row.id != "visit"
    metric_event: {{ target: production, key: checkout-total, context: {{ user: $.row.user_id }}, data: {{ id: $.row.id }} }}
  - name: visits
    topics: [{topic}]
    format: debezium
    when: op == "create" && row.id == "visit"
    metric_event: {{ target: production, key: visit, context: {{ user: $.row.user_id }} }}
  - name: buyers
    topics: [{topic}]
    format: debezium
    before: full
    when: row.id != "visit"
    segment_member: {{ target: production, segment: buyers, context_key: $.row.user_id, create: true }}
  - name: definitions
    topics: [{topic}]
    format: debezium
    when: op == "create" && row.id != "visit"
    metric: {{ target: production, key: orders, name: Orders, kind: custom, event_key: orders, is_numeric: false }}
segments: {{ linger: 50ms }}
"#
    );
    let config = format!("{head}{routes}batch:{tail}");
    // Malformed and refused ones come again and again here, and are to go on doing so.
    let config = config.replace(".dead }", ".dead, guard: { enabled: false } }");
    config.replace("checks: { enabled: false }", "checks: { interval: 10s, reread: 1s }")
}

/// Waves of orders, deletes and faulty records, for ever.
pub(super) async fn traffic(stand: &Stand) {
    let mut waves = tokio::time::interval(STEP);
    for wave in 0_u32.. {
        waves.tick().await;
        let to = NewRecord::to;
        let mut records: Vec<_> =
            (0..8).map(|n| to(0).value(order("c", &format!("{wave}-{n}"), "1"))).collect();
        // The same member comes and goes: the newer change replaces the older one.
        records.push(to(0).value(order("d", &format!("{wave}-0"), "1")));
        records.push(to(0).value(order("c", "visit", "1")));
        if wave.is_multiple_of(4) {
            records.push(to(1).value("this is no JSON"));
            records.push(to(1).value(order("c", "refused-event", "1")));
        }
        stand.kafka.produce(stand.topic(WHOLE), records).await;
    }
}

pub(super) async fn events_that_do_not_count_and_a_removal_flood(stand: &Stand) {
    let sandbox = sandbox().await;
    let _service = Service::start(&config(stand, sandbox.url()));

    let visits = [HERE, ("route", "visits"), ("reason", "metric_missing")];
    stand.fires("LdsinkWouldNotCount", &visits).await;
    // A person mends it.
    sandbox.create("metrics/storefront", &metric("visit")).await;
    stand.clears("LdsinkWouldNotCount", &visits).await;

    // Somebody empties the table.
    let buyers = [HERE, ("route", "buyers")];
    stand.clears("LdsinkRemovalFlood", &buyers).await;
    let removed = (0..2_000)
        .map(|n| NewRecord::to(1).value(order("d", &format!("{}-{}", n / 8, n % 8), "1")));
    stand.kafka.produce(stand.topic(WHOLE), removed).await;
    stand.fires("LdsinkRemovalFlood", &buyers).await;
    stand.clears("LdsinkRemovalFlood", &buyers).await;
}
