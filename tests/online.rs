//! What is asked of LaunchDarkly without a record: `ldsink check --online`, and the reader behind the
//! checks, both against the sandbox.

#![cfg(test)]

#[path = "support/mod.rs"]
mod support;

use std::collections::BTreeMap;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use ldsink::config::Config;
use ldsink::launchdarkly::settings::TargetSettings;
use ldsink::model::knowledge::{Knowledge, Question, SegmentFacts, Wanted};
use ldsink::pipeline::deliver::knowledge::{KnowledgeLink, KnowledgeReader};
use ldsink::pipeline::deliver::pacing::{Paces, Pacing};
use ldsink::pipeline::settings::{CheckSettings, DeliverySettings};
use ldsink::sandbox::Settings;
use ldsink::telemetry::metrics::Metrics;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use self::support::launchdarkly::{LaunchDarkly, TOKEN};
use self::support::wait::eventually;

const PATIENCE: Duration = Duration::from_secs(30);
const METRICS: &str = "metrics/storefront";
const SEGMENTS: &str = "segments/storefront/production";

fn metric(key: &str, event_key: &str, unit: &str) -> Value {
    json!({ "key": key, "kind": "custom", "isNumeric": true, "eventKey": event_key,
        "successCriteria": "HigherThanBaseline", "unit": "EUR", "analysisUnits": [unit] })
}

fn big(key: &str, context_kind: &str) -> Value {
    json!({ "key": key, "name": key, "unbounded": true, "unboundedContextKind": context_kind })
}

const ROUTES: &str = r"
  - name: checkout
    topics: [orders]
    format: json
    metric_event: { target: production, key: checkout-total, context: { user: $.row.user }, value: $.row.total }
  - name: vip
    topics: [customers]
    format: json
    segment_member: { target: production, segment: vip, context_key: $.row.id }
  - name: metrics
    topics: [metrics]
    format: json
    metric: { target: production, key: revenue, kind: custom, event_key: revenue, is_numeric: false, tags: [from-kafka] }
  - name: by-plan
    topics: [customers]
    format: json
    segment_member: { target: production, segment: $.row.plan, context_key: $.row.id, create: true }
";

fn config(url: &str, token: &str) -> String {
    format!(
        "kafka: {{ bootstrap_servers: \"localhost:1\", group_id: g }}\n\
         targets:\n  production: {{ access_token: {token}, project: storefront, environment: production, \
         events_url: \"{url}\", api_url: \"{url}\" }}\nroutes:{ROUTES}"
    )
}

/// Runs `ldsink check --online`; gives its exit code and what it printed.
async fn check(config: &str) -> (i32, String) {
    let directory = tempfile::TempDir::new().unwrap();
    let file = directory.path().join("ldsink.yaml");
    std::fs::write(&file, config).unwrap();
    let output = tokio::process::Command::new(env!("CARGO_BIN_EXE_ldsink"))
        .args(["check", "--online"])
        .arg(&file)
        .stdin(Stdio::null())
        .output()
        .await
        .unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.code().unwrap(), String::from_utf8(said).unwrap())
}

/// An account in which everything is as the configuration needs it.
async fn account() -> LaunchDarkly {
    let sandbox = LaunchDarkly::with(Settings {
        environments: Some(vec![("storefront".to_owned(), "production".to_owned())]),
        ..Settings::default()
    })
    .await;
    sandbox.create(METRICS, &metric("total", "checkout-total", "user")).await;
    sandbox.create(SEGMENTS, &big("vip", "user")).await;
    sandbox
}

fn contains(said: &str, parts: &[&str]) {
    for part in parts {
        assert!(said.contains(part), "no {part:?} in\n{said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_as_it_should_be_has_no_errors_and_is_not_written_to() {
    let sandbox = account().await;
    let before = sandbox.requests().await.len();
    let (code, said) = check(&config(sandbox.url(), TOKEN)).await;
    assert_eq!(code, 0, "{said}");
    contains(
        &said,
        &[
            "LaunchDarkly accepts the token: a service token named `sandbox`",
            "metric `total` counts it",
            "segment `vip` is there in this shape",
            "records name the segment",
            "metric `revenue` will be made",
            "importEventData on proj/storefront:env/production: only a write would show it",
            "0 errors",
        ],
    );
    assert!(!said.contains(TOKEN) || said.matches(TOKEN).count() == 0, "{said}");
    for request in &sandbox.requests().await[before..] {
        assert_eq!(request["method"], "GET", "A1");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_would_not_count_is_an_error_with_its_route_and_remedy() {
    let sandbox = account().await;
    let whole = config(sandbox.url(), TOKEN);
    for (from, to, parts) in [
        (
            "key: checkout-total",
            "key: chekout-total",
            &[
                "route checkout",
                "metric_missing",
                "did you mean `checkout-total`?",
                "create a metric",
            ][..],
        ),
        ("context: { user:", "context: { device:", &["analysis_unit_missing", "analyse user"]),
        (", value: $.row.total", "", &["value_missing", "map `value`"]),
        ("segment: vip,", "segment: vips,", &["route vip", "segment_missing", "no segment `vips`"]),
        ("segment: vip,", "segment: vip, kind: standard,", &["segment_kind_differs", "is big"]),
        ("segment: vip,", "segment: vip, context_kind: device,", &["context_kind_differs"]),
        (
            "key: revenue, kind: custom",
            "key: total, kind: trace, trace_query: q",
            &["metric_kind_differs"],
        ),
    ] {
        assert!(whole.contains(from), "{from}");
        let mistaken = whole.replacen(from, to, 1);
        let (code, said) = check(&mistaken).await;
        assert_eq!(code, 1, "{to}: {said}");
        contains(&said, parts);
        contains(&said, &["remedy:", "1 error;"]);
        let ignored = mistaken.replace("format: json", "format: json\n    checks: off");
        assert_eq!(check(&ignored).await.0, 0, "checks: off");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_an_address_or_a_place_that_is_wrong_is_told_and_nothing_else_is() {
    let sandbox = account().await;
    let right = config(sandbox.url(), TOKEN);
    for (mistaken, parts) in [
        (
            config(sandbox.url(), "api-another"),
            &["the token cannot be tried", "unauthorized", "access_token"][..],
        ),
        (
            right.replace("project: storefront", "project: shop"),
            &["cannot be read", "not_found", "check `project`"],
        ),
        (
            right.replace("environment: production,", "environment: test,"),
            &["environment `test`", "not_found"],
        ),
        (config("http://127.0.0.1:1", TOKEN), &["no connection", "api_url"]),
    ] {
        let (code, said) = check(&mistaken).await;
        assert_eq!(code, 1, "{said}");
        contains(&said, parts);
        contains(&said, &["1 error;", "the smallest role policy for target production"]);
        assert!(!said.contains("api-another"), "a token is shown: {said}");
        assert!(!said.contains("metric_missing") && !said.contains("segment_missing"), "{said}");
    }
    // A mistake in the file is told as ever, and nobody is asked.
    assert_eq!(check(&right.replace("format: json", "format: yaml")).await.0, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_right_that_launchdarkly_says_is_missing_is_an_error() {
    let sandbox = account().await;
    sandbox.limit_token(&["viewProject", "importEventData", "updateIncluded"]).await;
    let (code, said) = check(&config(sandbox.url(), TOKEN)).await;
    assert_eq!(code, 1, "{said}");
    contains(
        &said,
        &[
            "LaunchDarkly says that the token may updateIncluded on proj/storefront:env/production:segment/vip",
            "LaunchDarkly says that the token may not updateExcluded on",
            "importEventData on proj/storefront:env/production: only a write would show it",
        ],
    );
    sandbox.limit_token(&["importEventData"]).await;
    let (code, said) = check(&config(sandbox.url(), TOKEN)).await;
    assert_eq!(code, 1, "{said}");
    contains(&said, &["cannot be read", "allow `viewProject`"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_printed_policy_is_the_smallest_and_launchdarkly_finds_nothing_missing_in_it() {
    let sandbox = account().await;
    let (_, said) = check(&config(sandbox.url(), TOKEN)).await;
    let (_, policy) = said.split_once("target production:\n").unwrap();
    let (policy, _) = policy.split_once("\n\n").unwrap();
    let policy: Value = serde_json::from_str(policy).unwrap();
    assert_eq!(
        policy,
        json!([
            { "effect": "allow", "actions": ["viewProject"], "resources": ["proj/storefront"] },
            { "effect": "allow", "actions": ["importEventData"],
              "resources": ["proj/storefront:env/production"] },
            { "effect": "allow",
              "actions": ["createMetric", "updateEventKey", "updateNumeric", "updateTags"],
              "resources": ["proj/storefront:metric/revenue"] },
            { "effect": "allow", "actions": ["createSegment", "updateExcluded", "updateIncluded"],
              "resources": ["proj/storefront:env/production:segment/*"] },
            { "effect": "allow", "actions": ["updateExcluded", "updateIncluded"],
              "resources": ["proj/storefront:env/production:segment/vip"] },
        ])
    );
    let statements = policy.as_array().unwrap().iter();
    let actions = statements.flat_map(|statement| statement["actions"].as_array().unwrap());
    let actions: Vec<&str> = actions.map(|action| action.as_str().unwrap()).collect();
    sandbox.limit_token(&actions).await;
    let (code, said) = check(&config(sandbox.url(), TOKEN)).await;
    assert_eq!(code, 0, "{said}");
    contains(&said, &["may updateExcluded on proj/storefront:env/production:segment/vip"]);
}

// === the reader ===

struct Reading {
    link: KnowledgeLink,
    metrics: Metrics,
    stop: CancellationToken,
    _running: JoinSet<()>,
}

impl Drop for Reading {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

fn settings(url: &str) -> (TargetSettings, DeliverySettings) {
    let config = Config::parse(&config(url, TOKEN), "ldsink.yaml", &|_| None).unwrap();
    (config.targets[0].clone(), config.pipeline.delivery)
}

fn read(
    sandbox: &LaunchDarkly,
    environment: &str,
    segments: &[&str],
    checks: CheckSettings,
) -> Reading {
    let (mut target, delivery) = settings(sandbox.url());
    target.environment = environment.to_owned();
    let metrics = Metrics::new().unwrap();
    let targets = std::slice::from_ref(&target);
    let paces = Paces::new(targets, &delivery, &metrics, &Arc::default());
    read_paced(&target, &delivery, segments, checks, (&paces.rest[0], metrics))
}

fn read_paced(
    target: &TargetSettings,
    delivery: &DeliverySettings,
    segments: &[&str],
    checks: CheckSettings,
    (pacing, metrics): (&Arc<Pacing>, Metrics),
) -> Reading {
    let segments = segments.iter().map(|&key| key.to_owned()).collect();
    let wanted = Wanted { metrics: true, segments };
    let pacing = Arc::clone(pacing);
    let (reader, link) =
        KnowledgeReader::new(target, wanted, checks, delivery, pacing, metrics.clone()).unwrap();
    let stop = CancellationToken::new();
    let running = JoinSet::from_iter([reader.run(stop.clone())]);
    Reading { link, metrics, stop, _running: running }
}

fn rarely() -> CheckSettings {
    let long = Duration::from_secs(3_600);
    CheckSettings { enabled: true, interval: long, reread: long }
}

fn often() -> CheckSettings {
    let short = Duration::from_millis(50);
    CheckSettings { enabled: true, interval: short, reread: short }
}

impl Reading {
    async fn until(&mut self, what: &str, wanted: impl Fn(&Knowledge) -> bool) -> Arc<Knowledge> {
        let found = self.link.knowledge.wait_for(|knowledge| wanted(knowledge));
        let found = tokio::time::timeout(PATIENCE, found).await;
        let found = found.unwrap_or_else(|_| panic!("{what} was not seen within {PATIENCE:?}"));
        Arc::clone(&found.unwrap())
    }

    fn known(&self) -> i64 {
        self.metrics.checks_known.with_label_values(&["production"]).get()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn all_pages_of_metrics_and_the_segments_that_are_wanted_are_read() {
    let sandbox = account().await;
    for n in 0..120 {
        sandbox.create(METRICS, &metric(&format!("m-{n}"), &format!("e-{}", n % 60), "user")).await;
    }
    let mut reading = read(&sandbox, "production", &["vip", "gone"], rarely());
    let known = reading.until("a first reading", |known| known.edition > 0).await;
    let metrics = known.metrics.as_ref().unwrap();
    assert_eq!(metrics.len(), 61);
    assert!((0..60).all(|n| metrics[&format!("e-{n}")].len() == 2));
    let vip = SegmentFacts::Big { context_kind: "user".to_owned() };
    assert_eq!((&known.segments["vip"], &known.segments["gone"]), (&Some(vip), &None));
    assert!(known.certain_until.is_some());
    eventually(PATIENCE, "the gauge", async || reading.known() == 1).await;
    let lists =
        || async { sandbox.journal().await["requests_by_operation"]["metric_list"].as_u64() };
    let listed = lists().await;
    // A seeming mistake is no reason to read again before the last reading is old enough.
    for _ in 0..20 {
        reading.link.questions.send(Question::Again).unwrap();
    }
    // A segment that a record names is looked for at once, and alone.
    sandbox.create(SEGMENTS, &json!({ "key": "small", "name": "small" })).await;
    reading.link.questions.send(Question::Segment("small".to_owned())).unwrap();
    let known = reading.until("the segment", |known| known.segments.contains_key("small")).await;
    assert_eq!(known.segments["small"], Some(SegmentFacts::Standard));
    assert_eq!(known.metrics.as_ref().map(|metrics| metrics.len()), Some(61));
    assert_eq!(lists().await, listed, "V7");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_read_is_unknown_and_not_absent() {
    let sandbox = account().await;
    // Without the right to see the project.
    sandbox.limit_token(&["importEventData"]).await;
    let mut reading = read(&sandbox, "production", &["vip"], often());
    let known = reading.until("a first reading", |known| known.edition > 0).await;
    assert!(known.metrics.is_none() && known.segments.is_empty());
    eventually(PATIENCE, "the gauge", async || reading.known() == 0).await;
    sandbox.set_tokens(&[TOKEN]).await;
    reading.until("the metrics", |known| known.metrics.is_some()).await;
    eventually(PATIENCE, "the gauge", async || reading.known() == 1).await;
    // While LaunchDarkly is down, what it had stays, and is certain no more.
    sandbox.set_faults(json!([{ "action": { "kind": "status", "status": 503 } }])).await;
    let known = reading.until("the outage", |known| known.certain_until.is_none()).await;
    assert!(known.metrics.is_some() && known.segments["vip"].is_some());
    sandbox.clear_faults().await;
    reading.until("the end of it", |known| known.certain_until.is_some()).await;
    // Of an environment that does not exist, no segment is missing (V8).
    let mut elsewhere = read(&sandbox, "staging", &["vip"], often());
    let known = elsewhere.until("a first reading", |known| known.edition > 0).await;
    assert!(known.metrics.is_some() && known.segments.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn readings_with_one_token_share_its_budget() {
    const LIMIT: usize = 20;
    const OURS: usize = 16;
    const WINDOW_MS: i64 = 1_000;
    let sandbox = account().await;
    let limit = json!({ "scope": "token", "limit": LIMIT, "window_ms": WINDOW_MS });
    sandbox.put("/sandbox/limits", &json!({ "limits": [limit] })).await;
    let before = sandbox.requests().await.len();
    let (target, delivery) = settings(sandbox.url());
    let other = TargetSettings { name: "other".to_owned(), ..target.clone() };
    let metrics = Metrics::new().unwrap();
    let targets = [target, other];
    let paces = Paces::new(&targets, &delivery, &metrics, &Arc::default());
    let keys: Vec<String> = (0..20).map(|n| format!("segment-{n}")).collect();
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    let mut readings = [0, 1].map(|at| {
        let shared = (&paces.rest[at], metrics.clone());
        read_paced(&targets[at], &delivery, &keys, rarely(), shared)
    });
    for reading in &mut readings {
        reading.until("all segments", |known| known.segments.len() == 20).await;
    }
    let requests = sandbox.requests().await.split_off(before);
    let mut by_window: BTreeMap<i64, usize> = BTreeMap::new();
    for request in &requests {
        assert_ne!(request["status"], 429);
        let at = request["received_at_ms"].as_i64().unwrap() / WINDOW_MS;
        *by_window.entry(at).or_default() += 1;
    }
    assert!(requests.len() > 2 * OURS, "{by_window:?}");
    assert!(by_window.values().all(|count| *count <= OURS), "{by_window:?}");
}
