//! The explanation against the path itself, for records as Debezium really writes them.

use std::fs;
use std::sync::Arc;
use std::sync::mpsc::channel;

use serde_json::{Value, json};
use tokio::sync::mpsc::unbounded_channel;
use tokio::time::Instant;

use super::explain::{Explainer, Explanation, Fate, Intended, Made};
use super::plan::Planner;
use super::{input, words};
use crate::config::Config;
use crate::launchdarkly::view::RequestView;
use crate::model::batch::{EventBatch, TargetId};
use crate::model::operation::{KeyedBatch, LaneKey, MetricChange, MetricIntent, Operation};
use crate::model::outcome::{Refusal, RefusalReason};
use crate::model::progress::Committed;
use crate::model::record::OwnedRecord;
use crate::pipeline::guard::Guard;
use crate::pipeline::path::{Outlets, Path};
use crate::pipeline::settings::PipelineSettings;
use crate::pipeline::source::Intake;
use crate::telemetry::metrics::Metrics;

/// Several formats, targets and operations on the same topics, conditions that fail, and bodies that
/// are too large for some.
const ROUTES: &str = r#"
kafka: { bootstrap_servers: "localhost:9092", group_id: g }
targets:
  production: { access_token: api-1, project: p, environment: production }
  staging: { access_token: api-2, project: p, environment: staging }
routes:
  - name: orders
    topics: [shop.public.orders]
    format: FORMAT
    when: op != "update"
    metric_event:
      target: production
      key: k
      context: { user: $.row.customer_id }
      data: { notes: { from: $.row.notes, optional: true } }
  - name: again
    topics: [shop.public.orders, shop.public.customers]
    format: FORMAT
    metric_event: { target: production, key: k2, context: { user: $.row.id } }
  - name: strict
    topics: [shop.public.orders]
    format: auto
    when: row.total != null && double(row.total) < 1000.0
    metric_event:
      target: staging
      key: k3
      context: { user: $.row.customer_id }
      value: $.row.total
  - name: pro
    topics: [shop.public.customers]
    format: auto
    segment_member:
      target: staging
      segment: $.row.tier
      context_key: $.row.id
      member: row.tier != "free"
batch: { max_bytes: 1KB }
unmatched: dead_letter
"#;

/// What the path does with a record that comes alone.
struct Done {
    events: Vec<EventBatch>,
    lanes: Vec<LaneKey>,
    refusals: Vec<Refusal>,
}

fn drive(settings: &PipelineSettings, metrics: &Metrics, record: &OwnedRecord) -> Done {
    let (_settle, settlements) = channel();
    let (events, mut batches) = unbounded_channel();
    let (keyed, mut lanes) = unbounded_channel();
    let (dead_letters, mut letters) = unbounded_channel();
    let outlets = Outlets { events: vec![events; 2], keyed: vec![keyed; 2], dead_letters };
    let guard = Arc::new(Guard::new(settings, Arc::default(), metrics.clone()));
    let mut path = Path::new(settings.clone(), outlets, settlements, guard, metrics);
    let partition = [record.partition.clone()];
    let [first] = &partition;
    let (next, journal) = (None, String::new());
    path.assigned(&[Committed { partition: first.clone(), next, journal }]);
    let now = Instant::now();
    path.record(&record.lend(), now);
    path.close(&partition);
    let entries = path.progress(&partition);
    path.committed(entries, true, now);
    Done {
        events: std::iter::from_fn(|| batches.try_recv().ok()).collect(),
        lanes: std::iter::from_fn(|| lanes.try_recv().ok())
            .map(|it: KeyedBatch| it.lane())
            .collect(),
        refusals: std::iter::from_fn(|| letters.try_recv().ok()).map(|it| it.refusal).collect(),
    }
}

fn assert_agree(explained: &Explanation, done: &Done, what: &str) {
    let refused = match &explained.fate {
        Fate::Refused(refusal) => vec![refusal.clone()],
        Fate::Delivered | Fate::Filtered | Fate::Unread => Vec::new(),
    };
    assert_eq!(refused, done.refusals, "{what}");
    let requests = |batches: &[EventBatch]| {
        let request =
            |batch: &EventBatch| (batch.target, batch.payload_id("t"), batch.body.clone());
        batches.iter().map(request).collect::<Vec<_>>()
    };
    assert_eq!(requests(&explained.batches), requests(&done.events), "{what}");
    let mut lanes = Vec::new();
    if explained.fate == Fate::Delivered {
        for outcome in &explained.routes {
            if let Made::Operations(operations) = &outcome.made {
                lanes.extend(operations.iter().map(|its| format!("{:?}", its.operation.lane())));
            }
        }
    }
    lanes.sort();
    lanes.dedup();
    let mut theirs: Vec<_> = done.lanes.iter().map(|lane| format!("{lane:?}")).collect();
    theirs.sort();
    assert_eq!(lanes, theirs, "{what}");
    let sends = !done.events.is_empty() || !done.lanes.is_empty();
    assert_eq!(explained.fate == Fate::Delivered, sends, "{what}");
}

#[test]
fn the_explanation_is_what_the_path_does() {
    let metrics = Metrics::new().unwrap();
    let fixtures = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/debezium");
    let (mut seen, mut offset) = ([0; 4], 0);
    for format in ["debezium", "debezium_flat", "json"] {
        let config = Config::parse(&ROUTES.replace("FORMAT", format), "t.yaml", &|_| None).unwrap();
        let explainer = Explainer::try_new(&config.pipeline, &config.targets).unwrap();
        for file in fs::read_dir(fixtures).unwrap() {
            let file = file.unwrap().path();
            if file.extension().is_none_or(|extension| extension != "jsonl") {
                continue;
            }
            for line in fs::read_to_string(&file).unwrap().lines() {
                offset += 1;
                let record = input::record(line, offset).unwrap();
                let explained = explainer.explain(&record);
                seen[match explained.fate {
                    Fate::Delivered => 0,
                    Fate::Filtered => 1,
                    Fate::Refused(_) => 2,
                    Fate::Unread => 3,
                }] += 1;
                let done = drive(&config.pipeline, &metrics, &record);
                assert_agree(&explained, &done, &format!("{format} {} {line}", file.display()));
            }
        }
    }
    assert!(seen.iter().all(|count| *count > 20), "every kind of fate is met: {seen:?}");
}

/// How a metric's definition is said, and what it would lead to: requests, or a refusal.
type OfMetric = (Value, Result<Vec<(Option<&'static str>, String)>, Refusal>);

fn of_metric(intent: MetricIntent) -> OfMetric {
    let config = Config::parse(&ROUTES.replace("FORMAT", "json"), "t.yaml", &|_| None).unwrap();
    let change = MetricChange { target: TargetId(1), key: "m".into(), intent };
    let operation = Operation::Metric(change);
    let planner = Planner::try_new(&config.targets, true).unwrap();
    let planned = planner.plan_operation(&operation, &"m".into()).map(|planned| {
        let line = |view: RequestView| {
            format!("{} {} {}", view.method, view.url, view.body.unwrap_or_default())
        };
        planned.into_iter().map(|planned| (planned.condition, line(planned.request))).collect()
    });
    let made = Made::Operations(vec![Intended { operation, refusal: None }]);
    (words::of_made(&made).remove(0).content, planned)
}

#[test]
fn a_metric_is_read_and_then_made_or_archived() {
    let url = "https://app.launchdarkly.com/api/v2/metrics/p";
    let fields =
        json!({ "kind": "custom", "eventKey": "e", "isNumeric": false, "archived": false });
    let Value::Object(fields) = fields else { panic!("an object") };
    let (said, steps) = of_metric(MetricIntent::Upsert(fields.clone()));
    assert_eq!((&said["event_key"], &said["key"]), (&json!("e"), &json!("m")));
    let steps = steps.unwrap();
    assert_eq!(steps[0], (None, format!("GET {url}/m ")));
    let body = r#"{"eventKey":"e","isNumeric":false,"key":"m","kind":"custom"}"#;
    assert_eq!(steps[1].1, format!("POST {url} {body}"), "without what a patch alone may set");

    let (said, steps) = of_metric(MetricIntent::Archive);
    assert_eq!(said, json!({ "key": "m", "archived": true }));
    let patch = r#"[{"op":"replace","path":"/archived","value":true}]"#;
    assert_eq!(steps.unwrap()[1].1, format!("PATCH {url}/m {patch}"));

    let mut incomplete = fields;
    incomplete.remove("eventKey");
    let refusal = of_metric(MetricIntent::Upsert(incomplete)).1.unwrap_err();
    assert_eq!(refusal.reason, RefusalReason::InvalidDefinition);
    assert!(refusal.detail.contains("event_key"), "{refusal:?}");
}
