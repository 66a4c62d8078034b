//! Who shares what, and what is told.

use std::sync::Mutex;
use std::sync::mpsc::channel;

use secrecy::SecretString;
use tokio::sync::mpsc::unbounded_channel;
use tokio::task::JoinSet;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::super::courier::{Burden, Courier, Errand, LaneReports};
use super::super::events::OPERATION;
use super::super::spans::Cause;
use super::paces::shared;
use super::*;
use crate::config::Config;
use crate::pipeline::guard::Guard;
use crate::pipeline::settings::DeliverySettings;
use crate::telemetry::board::Board;
use crate::telemetry::traces::Tracer;

const HOUR: Duration = Duration::from_secs(3_600);

fn target(name: &str, token: &str, api_url: &str) -> TargetSettings {
    TargetSettings {
        name: name.to_owned(),
        project: "storefront".to_owned(),
        environment: name.to_owned(),
        access_token: SecretString::from(token),
        events_url: "https://events.example".to_owned(),
        api_url: api_url.to_owned(),
        company: "Acme".to_owned(),
    }
}

fn delivery() -> DeliverySettings {
    DeliverySettings {
        concurrency: 8,
        gzip: false,
        requests_per_second: None,
        burst: None,
        reserve_percent: 20,
        request_timeout: Duration::from_secs(30),
        retry_initial: Duration::from_millis(200),
        retry_max: Duration::from_secs(60),
        probe_interval: Duration::from_secs(15),
        retry_for: None,
        priority: 1,
    }
}

/// Two targets on one server, each with a token of its own.
fn two_tokens() -> (Paces, Arc<Health>, Metrics) {
    let (health, metrics) = (Arc::new(Health::default()), Metrics::new().unwrap());
    health.beat();
    let targets =
        [target("a", "one", "https://app.example"), target("b", "two", "https://app.example")];
    (Paces::new(&targets, &delivery(), &metrics, &health), health, metrics)
}

fn failure(class: ErrorClass, status: u16, hint: Option<Duration>) -> ApiError {
    let (detail, limits) = ("for a test".to_owned(), Box::default());
    ApiError { class, status: Some(status), code: None, hint, limits, detail }
}

fn success() -> Answered<()> {
    Answered { value: (), status: 202, limits: RateLimits::default(), hint: None }
}

#[test]
fn a_budget_is_shared_by_server_and_token() {
    let of = |target: &TargetSettings, other: &TargetSettings| {
        target.api_url == other.api_url && target.has_token_of(other)
    };
    let targets = [
        target("a", "one", "https://app.example"),
        target("b", "two", "https://app.example"),
        target("c", "one", "https://app.example"),
        target("d", "one", "https://elsewhere.example"),
    ];
    assert_eq!(shared(&targets, of, |at| at), [0, 1, 0, 3]);
    assert_eq!(shared(&targets, TargetSettings::has_token_of, |at| at), [0, 1, 0, 0]);
    let (health, metrics) = (Arc::default(), Metrics::new().unwrap());
    let Paces { events, rest } = Paces::new(&targets, &delivery(), &metrics, &health);
    assert!(Arc::ptr_eq(&rest[0], &rest[2]) && !Arc::ptr_eq(&rest[0], &rest[1]));
    assert!(Arc::ptr_eq(&rest[0].destination, &rest[1].destination), "one server");
    assert!(!Arc::ptr_eq(&rest[0].destination, &rest[3].destination), "another one");
    assert!(!Arc::ptr_eq(&rest[0].destination, &events[0].destination), "another one");
    assert_eq!((rest[0].targets.as_str(), events[3].targets.as_str()), ("a+c", "a+c+d"));
}

#[tokio::test(start_paused = true)]
async fn an_outage_is_told_for_all_tokens_whoever_finds_it_out() {
    let (Paces { rest, .. }, health, metrics) = two_tokens();
    let [one, other] = &rest[..] else { panic!("{rest:?}") };
    let outage = || metrics.outage.with_label_values(&["a+b", "rest"]).get();
    let lanes = [one.lane(1), other.lane(1)];
    for _ in 0..FAILURES {
        let permit = one.admit(lanes[0], Endpoint::MetricGet).await;
        one.answered(permit, &Err::<Answered<()>, _>(failure(ErrorClass::Unavailable, 503, None)));
    }
    assert!(other.is_down() && other.last_failure().is_some() && outage() == 2);
    let reasons = health.ready().reasons;
    assert!(reasons["target a+b, rest api, outage"].contains("unavailable"), "{reasons:?}");
    let probe = other.admit(lanes[1], Endpoint::MetricGet).await;
    other.answered(probe, &Ok(success()));
    assert!(health.ready().ok, "{:?}", health.ready());
    assert_eq!(outage(), 1);
    let permit = one.admit(lanes[0], Endpoint::MetricGet).await;
    one.answered(permit, &Ok(success()));
    assert_eq!(outage(), 0);
}

/// What waited was given up, or its partition went to another instance: no request comes that could find
/// out that LaunchDarkly is back.
#[tokio::test(start_paused = true)]
async fn an_outage_that_nobody_asks_about_does_not_last_forever() {
    let (paces, health, metrics) = two_tokens();
    let mut looking = JoinSet::new();
    looking.spawn(paces.look_after());
    let pacing = Arc::clone(&paces.rest[0]);
    let outage = || metrics.outage.with_label_values(&["a+b", "rest"]).get();
    let lane = pacing.lane(1);
    let fails = || Err::<Answered<()>, _>(failure(ErrorClass::Unavailable, 503, None));
    for _ in 0..FAILURES {
        let permit = pacing.admit(lane, Endpoint::MetricGet).await;
        pacing.answered(permit, &fails());
    }
    // As long as somebody asks, however slowly, it lasts.
    for _ in 0..10 {
        sleep(delivery().retry_max).await;
        assert!(!health.ready().ok && outage() == 2);
        let probe = pacing.admit(lane, Endpoint::MetricGet).await;
        pacing.answered(probe, &fails());
    }
    sleep(delivery().retry_max * 5).await;
    assert!(health.ready().reasons.is_empty(), "{:?}", health.ready());
    assert_eq!(outage(), 1);
    // The next one is a probe, and its failure enough.
    let probe = pacing.admit(lane, Endpoint::MetricGet).await;
    let other = tokio::time::timeout(HOUR, pacing.admit(lane, Endpoint::MetricGet)).await;
    assert!(other.is_err(), "one at a time");
    pacing.answered(probe, &fails());
    assert!(!health.ready().ok && outage() == 2);
    drop(other);
    drop((paces, pacing));
    tokio::time::timeout(HOUR, looking.join_next()).await.unwrap().unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_long_hint_is_shown_until_it_has_passed() {
    let (Paces { rest, .. }, health, metrics) = two_tokens();
    let pacing = &rest[0];
    let lane = pacing.lane(1);
    let first = pacing.admit(lane, Endpoint::MetricGet).await;
    pacing.answered(first, &Ok(success()));
    let before = pacing.admit(lane, Endpoint::MetricGet).await;
    let refused = pacing.admit(lane, Endpoint::MetricCreate).await;
    pacing.answered(
        refused,
        &Err::<Answered<()>, _>(failure(ErrorClass::Throttled, 429, Some(HOUR))),
    );
    pacing.answered(before, &Ok(success()));
    let reasons = health.ready().reasons;
    assert!(reasons["target a, rest api, hint"].contains("3600 s"), "{reasons:?}");
    assert!(metrics.hint_until.with_label_values(&["a", "rest"]).get() > 1e9);
    let start = Instant::now();
    let after = pacing.admit(lane, Endpoint::MetricGet).await;
    assert!(start.elapsed() >= HOUR, "{:?}", start.elapsed());
    pacing.answered(after, &Ok(success()));
    assert!(health.live().ok && health.ready().reasons.is_empty());
    assert_eq!(metrics.hint_until.with_label_values(&["a", "rest"]).get().to_bits(), 0);
}

/// A reload that changes limits or delivery makes new budgets; the server has asked all the same.
#[tokio::test(start_paused = true)]
async fn a_hint_outlives_the_budget_that_heard_it() {
    let (before, ..) = two_tokens();
    let lane = before.rest[0].lane(1);
    let refused = before.rest[0].admit(lane, Endpoint::MetricCreate).await;
    let told = Err::<Answered<()>, _>(failure(ErrorClass::Throttled, 429, Some(HOUR)));
    before.rest[0].answered(refused, &told);
    let (after, health, metrics) = two_tokens();
    after.rest[0].inherit(&before.rest[0]);
    assert!(health.ready().ok, "it is not in force yet");
    after.tell_inherited();
    let reasons = health.ready().reasons;
    assert!(reasons.contains_key("target a, rest api, hint"), "{reasons:?}");
    assert!(metrics.hint_until.with_label_values(&["a", "rest"]).get() > 1e9);
    let (start, lane) = (Instant::now(), after.rest[0].lane(1));
    let permit = after.rest[0].admit(lane, Endpoint::MetricGet).await;
    assert!(start.elapsed() >= HOUR, "{:?}", start.elapsed());
    after.rest[0].answered(permit, &Ok(success()));
    assert!(health.ready().reasons.is_empty());
}

const CONFIG: &str = r#"
kafka: { bootstrap_servers: "localhost:9092", group_id: g }
targets: { a: { access_token: api-1, project: p, environment: production } }
routes:
  - name: all
    topics: [t]
    format: json
    metric_event: { target: a, key: k, context: { user: $.row.user } }
"#;

/// A lane that sends one request at a time.
fn courier() -> Courier {
    let mut pipeline = Config::parse(CONFIG, "test.yaml", &|_| None).unwrap().pipeline;
    pipeline.delivery.concurrency = 1;
    let (health, metrics) = (Arc::<Health>::default(), Metrics::new().unwrap());
    let targets = [target("a", "one", "https://app.example")];
    let paces = Paces::new(&targets, &pipeline.delivery, &metrics, &health);
    let guard = Arc::new(Guard::new(&pipeline, Arc::clone(&health), metrics.clone()));
    let (settlements, dead_letters) = (channel().0, unbounded_channel().0);
    let board = Board::default();
    let reports = LaneReports {
        settlements,
        dead_letters,
        guard,
        health,
        metrics,
        board,
        tracer: Tracer::default(),
    };
    let (pacing, name) = (Arc::clone(&paces.events[0]), "a".to_owned());
    Courier::new(name, OPERATION, pipeline.delivery, pacing, reports, CancellationToken::new())
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_a_turn_while_the_lane_is_halted_waits_for_the_probe() {
    let (courier, start) = (courier(), Instant::now());
    let made = Mutex::new(Vec::new());
    let request = |_| {
        let mut made = made.lock().unwrap();
        made.push(start.elapsed());
        let answer = match made.len() {
            1 | 2 => Err(failure(ErrorClass::Misconfigured, 401, None)),
            _ => Ok(success()),
        };
        async move {
            sleep(Duration::from_millis(10)).await;
            answer
        }
    };
    let cause = Cause::default();
    let carry = || {
        let burden = Burden { lane: None, oldest: None, records: 0 };
        let patience = courier.patience();
        let errand = Errand { fences: &[], patience, burden, cause: &cause };
        courier.carry(Endpoint::MetricImport, request, errand)
    };
    let (one, two, three) = tokio::join!(carry(), carry(), carry());
    assert!(one.is_ok() && two.is_ok() && three.is_ok());
    let made = made.into_inner().unwrap();
    let probes = Duration::from_secs(15);
    assert_eq!(made.len(), 5);
    assert!(made[1] >= probes && made[2] >= made[1] + probes, "{made:?}");
}

#[test]
fn only_what_the_server_could_not_do_is_its_failure() {
    for class in ErrorClass::ALL {
        let failed = matches!(class, ErrorClass::Network | ErrorClass::Unavailable);
        assert_eq!(verdict(class) == Verdict::Failed, failed, "{class}");
    }
}
