//! The guard of lanes: who may send, and when.

use std::time::Duration;

use futures_util::FutureExt;

use super::*;
use crate::config::Config;

const CONFIG: &str = r#"
kafka: { bootstrap_servers: "localhost:9092", group_id: g }
targets:
  production: { access_token: api-1, project: p, environment: production }
routes:
  - { name: a, topics: [t], format: json, metric_event: { target: production, key: k, context: { user: $.row.u } } }
  - { name: b, topics: [o, t], format: json, metric_event: { target: production, key: k, context: { user: $.row.u } } }
dead_letter: { guard: { max_run: 3, probe_interval: 30s } }
"#;
const INTERVAL: Duration = Duration::from_secs(30);

fn guard() -> Guard {
    let config = Config::parse(CONFIG, "t.yaml", &|_| None).unwrap();
    Guard::new(&config.pipeline, Arc::default(), Metrics::new().unwrap())
}

fn halted(guard: &Guard, stage: &str) -> i64 {
    guard.metrics.route_halted.with_label_values(&["b", stage]).get()
}

#[tokio::test(start_paused = true)]
async fn lanes_of_a_halted_route_wait_and_the_others_go_on() {
    let guard = guard();
    assert_eq!(guard.routes("t", RouteSet::of(1)), [1]);
    assert_eq!(guard.routes("o", RouteSet::of(0)), [1]);
    assert!(guard.routes("elsewhere", RouteSet::ALL).is_empty());
    for _ in 0..3 {
        guard.refused(&[1], Instant::now());
    }
    assert!(guard.is_halted(&[0, 1]) && !guard.is_halted(&[0]));
    assert_eq!((halted(&guard, "deliver"), halted(&guard, "route")), (1, 0));
    let reasons = guard.health.ready().reasons;
    assert!(reasons["route b (deliver)"].contains("3 in a row"), "{reasons:?}");
    assert!(guard.admit(&[0]).now_or_never().is_some());
    assert!(!guard.wants_record(1, Instant::now()));

    // One probe after the interval, while another batch waits.
    let start = Instant::now();
    let probe = guard.admit(&[0, 1]).await;
    assert_eq!(start.elapsed(), INTERVAL);
    let mut second = Box::pin(guard.admit(&[1]));
    assert!((&mut second).now_or_never().is_none(), "D1");
    assert!(!guard.wants_record(1, Instant::now()), "one waits already");
    guard.refused(&[1], Instant::now());
    drop(probe);
    let second = second.await;
    assert_eq!(start.elapsed(), 2 * INTERVAL);
    // It ends without a judgement, so another one may begin at once.
    drop(second);
    assert!(guard.wants_record(1, Instant::now()), "nobody waits");
    let third = guard.admit(&[1]).await;
    assert_eq!(start.elapsed(), 2 * INTERVAL);

    // What was taken goes on at once, and opens in the end for all that wait.
    guard.passed(&[1], 1, Instant::now());
    drop(third);
    let (one, two) = (guard.admit(&[1]).await, guard.admit(&[1]));
    let mut two = Box::pin(two);
    assert!((&mut two).now_or_never().is_none());
    guard.passed(&[1], HEALED - 1, Instant::now());
    drop((one, two.await));
    assert!(!guard.is_halted(&[1]));
    assert_eq!(start.elapsed(), 2 * INTERVAL);
    assert_eq!(halted(&guard, "deliver"), 0);
    assert!(guard.health.ready().reasons.keys().all(|part| !part.starts_with("route")));
}

#[tokio::test(start_paused = true)]
async fn a_route_whose_partitions_have_gone_is_forgotten() {
    let guard = guard();
    for _ in 0..3 {
        guard.refused(&[0, 1], Instant::now());
    }
    let version = guard.version();
    guard.forget(0);
    guard.forget(0);
    assert!(guard.version() > version);
    assert!(!guard.is_route_halted(0) && guard.is_route_halted(1));
    guard.forget(1);
    assert!(guard.admit(&[0, 1]).now_or_never().is_some());
}
