//! What a person may ask of a running service, and who may.

use reqwest::Method;
use serde_json::{Value, json};

use crate::scene::{PATIENCE, Scene};
use crate::support::launchdarkly::TOKEN;
use crate::support::service::Service;
use crate::support::wait::eventually;

const ADMIN: &str = "open-sesame-open-sesame";

fn start(config: &str) -> Service {
    Service::start_beside(config, &[], &[("partner-token", TOKEN)])
}

async fn json_of(service: &Service, path: &str) -> Value {
    let (status, body) = service.ask(path).await;
    serde_json::from_str(&body).unwrap_or_else(|error| panic!("{path}: {status} {error} {body}"))
}

/// Paused, the route's topics wait; everything taken before is delivered, nothing is lost.
#[tokio::test(flavor = "multi_thread")]
async fn a_paused_route_waits_until_it_is_resumed() {
    let scene = Scene::set().await;
    let service = start(&scene.config);
    scene.produce(0..400).await;
    let counted = async |wanted: u64| {
        eventually(PATIENCE, &format!("{wanted} to count"), async || {
            let counted = scene.production.count("events_counted").await;
            if counted == wanted { Ok(()) } else { Err(counted.to_string()) }
        })
        .await;
    };
    counted(400).await;
    let told = service.tell(Method::POST, "/routes/buyers/pause", (Some(ADMIN), "")).await;
    assert_eq!(serde_json::from_str::<Value>(&told.1).unwrap()["changed"], json!(true));
    let paused = async |wanted: f64| {
        eventually(PATIENCE, "paused partitions", async || {
            (service.metric("ldsink_paused_partitions", &[]).await - wanted).abs() < 0.5
        })
        .await;
    };
    paused(4.0).await;
    scene.produce(400..800).await;
    // Reloads keep what a person has asked for.
    service.rewrite(&scene.config.replace("max_events: 200", "max_events: 100"));
    assert_eq!(service.tell(Method::POST, "/reload", (Some(ADMIN), "")).await.0, 200);
    eventually(PATIENCE, "the second generation to have all partitions", async || {
        let status = json_of(&service, "/status").await;
        let all = status["partitions"].as_array().unwrap().clone();
        let is_it = |it: &Value| it["generation"] == 2 && it["state"] == "paused_by_person";
        if all.len() == 4 && all.iter().all(is_it) { Ok(()) } else { Err(format!("{all:?}")) }
    })
    .await;
    paused(4.0).await;
    assert_eq!(scene.production.count("events_counted").await, 400, "its topic waits");
    assert_eq!(json_of(&service, "/health").await["paused_routes"], json!(["buyers"]));
    assert_eq!(service.ask("/ready").await.0, 200, "a person wanted it so");

    let told = service.tell(Method::POST, "/routes/buyers/resume", (Some(ADMIN), "")).await;
    assert_eq!(told.0, 200);
    counted(800).await;
    paused(0.0).await;
    let unknown = service.tell(Method::POST, "/routes/nobody/pause", (Some(ADMIN), "")).await;
    assert_eq!(unknown.0, 404);
    assert!(unknown.1.contains("checkout, partner-orders, buyers"), "{}", unknown.1);
    assert!(service.stop().await.status.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_changes_without_the_token_and_no_secret_is_told() {
    let scene = Scene::set().await;
    let service = start(&scene.config);
    let changes = [
        (Method::POST, "/reload", ""),
        (Method::POST, "/routes/checkout/pause", ""),
        (Method::POST, "/routes/checkout/resume", ""),
        (Method::PUT, "/log-level", "debug"),
    ];
    for token in [None, Some("open-sesame"), Some("open-sesame-open-sesamf")] {
        for (method, path, body) in changes.clone() {
            let (status, said) = service.tell(method, path, (token, body)).await;
            assert!(status == 401 && said.contains("admin.token"), "{path} {status} {said}");
        }
    }
    assert_eq!(json_of(&service, "/health").await["paused_routes"], json!([]));

    let config = json_of(&service, "/config").await;
    for (key, value) in [
        ("batch.max_events", "200"),
        ("limits.in_flight_bytes", "24MB"),
        ("delivery.concurrency", "8"),
        ("unmatched", "ignore"),
        ("routes[0].metric_event.value", "$.row.total"),
        ("targets.production.access_token", "[redacted]"),
        ("targets.partner.access_token_file", "partner-token"),
        ("admin.token", "[redacted]"),
    ] {
        assert_eq!(config[key], value, "{key}");
    }
    for path in ["/", "/status", "/config", "/health", "/in-flight", "/metrics"] {
        let (_, body) = service.ask(path).await;
        assert!(!body.contains(ADMIN) && !body.contains(TOKEN), "{path}");
    }

    // The level changes at once, and back with the file.
    let level =
        async |filter: &str| service.tell(Method::PUT, "/log-level", (Some(ADMIN), filter)).await;
    assert_eq!(level("inof").await.0, 400);
    assert_eq!(service.lines_with("\"DEBUG\""), 0);
    assert_eq!(level("info,ldsink=debug").await.0, 200);
    scene.produce(0..200).await;
    eventually(PATIENCE, "debug lines", async || service.lines_with("\"DEBUG\"") > 0).await;
    assert!(!service.log().contains(ADMIN) && !service.log().contains(TOKEN));
    assert!(service.stop().await.status.success());
}

/// An address that others reach takes a token for whatever changes something.
#[tokio::test(flavor = "multi_thread")]
async fn an_address_for_all_changes_nothing_without_a_token() {
    let scene = Scene::set().await;
    let token = r#", token: "${ADMIN_TOKEN:-open-sesame-open-sesame}""#;
    assert!(scene.config.contains(token));
    let own = start(&scene.config.replace(token, ""));
    let reload = own.tell(Method::POST, "/reload", (None, "")).await;
    assert_eq!(reload.0, 200, "{}", reload.1);
    assert!(own.stop().await.status.success());
    let all = scene.config.replace(token, "").replace("127.0.0.1:0", "0.0.0.0:0");
    let all = start(&all);
    let (status, said) = all.reload().await;
    assert!(status == 403 && said.contains("set `admin.token`"), "{status} {said}");
    assert_eq!(all.ask("/status").await.0, 200);
    assert!(all.stop().await.status.success());
}
