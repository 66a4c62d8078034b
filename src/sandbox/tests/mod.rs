//! Drives a listening sandbox over loopback, as its users do: everything through HTTP.
//!
//! Waits are for conditions, with a deadline; no test sleeps for a fixed time.

mod control;
mod faults;
mod import;
mod metrics;
mod rest;
mod segment_members;
mod segment_patch;
mod segment_targets;
mod segments;

use std::time::Duration;

use reqwest::{Client, Method, RequestBuilder, Response, StatusCode};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::{DEFAULT_TOKEN, Sandbox, SandboxError, SegmentRules, Settings};

/// Far beyond what anything here takes; reached only by a defect.
const DEADLINE: Duration = Duration::from_secs(20);

const IMPORT: &str = "/v2/event-data-import/shop/test";
const ID: &str = "6e0f5c0e-2a55-5b0b-9c0d-6a1d4b0f7a11";

/// A sandbox that is being served; dropping it ends it.
struct Served {
    base: String,
    client: Client,
    shutdown: CancellationToken,
    server: JoinSet<Result<(), SandboxError>>,
}

impl Served {
    async fn start(settings: Settings) -> Self {
        let sandbox = Sandbox::bind(settings).await.expect("a free port");
        let base = format!("http://{}", sandbox.address());
        let shutdown = CancellationToken::new();
        let mut server = JoinSet::new();
        server.spawn(sandbox.serve(shutdown.clone()));
        let client = Client::builder().timeout(DEADLINE).no_proxy().build().expect("client");
        Self { base, client, shutdown, server }
    }

    async fn usual() -> Self {
        Self::start(Settings::default()).await
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.base))
    }

    /// A request that lacks nothing but a body.
    fn import(&self) -> RequestBuilder {
        self.request(Method::POST, IMPORT)
            .header("authorization", DEFAULT_TOKEN)
            .header("content-type", "application/json")
            .header("x-launchdarkly-event-schema", "4")
            .header("user-agent", "MetricImport-Test-int/1")
    }

    async fn send(&self, id: &str, body: impl Into<reqwest::Body>) -> Response {
        let request = self.import().header("x-launchdarkly-payload-id", id).body(body);
        request.send().await.expect("an answer")
    }

    async fn get(&self, path: &str) -> Value {
        let response = self.request(Method::GET, path).send().await.expect("an answer");
        assert_eq!(response.status(), StatusCode::OK, "{path}");
        response.json().await.expect("json")
    }

    /// A REST request that lacks nothing but a body.
    fn rest(&self, method: Method, path: &str) -> RequestBuilder {
        self.request(method, path)
            .header("authorization", DEFAULT_TOKEN)
            .header("ld-api-version", "20240415")
    }

    /// Sends a REST request and returns status and answer, `null` for an empty one.
    async fn ask(&self, method: Method, path: &str, body: Value) -> (u16, Value) {
        self.ask_as(method, path, "application/json", body).await
    }

    async fn ask_as(&self, method: Method, path: &str, kind: &str, body: Value) -> (u16, Value) {
        let mut request = self.rest(method, path);
        if !body.is_null() {
            request = request.header("content-type", kind).body(body.to_string());
        }
        let answer = request.send().await.expect("an answer");
        let status = answer.status().as_u16();
        let text = answer.text().await.expect("text");
        if text.is_empty() {
            return (status, Value::Null);
        }
        (status, serde_json::from_str(&text).expect("json"))
    }

    async fn read(&self, path: &str) -> Value {
        let (status, answer) = self.ask(Method::GET, path, Value::Null).await;
        assert_eq!(status, 200, "{path}: {answer}");
        answer
    }

    async fn write(&self, method: Method, path: &str, body: Value, expected: u16) -> Value {
        let (status, answer) = self.ask(method, path, body.clone()).await;
        assert_eq!(status, expected, "{path} {body}: {answer}");
        answer
    }

    /// Sends a request that must be refused, and checks status and code.
    async fn refuse(&self, method: Method, path: &str, body: Value, status: u16, code: &str) {
        let (found, answer) = self.ask(method, path, body.clone()).await;
        assert_eq!((found, answer["code"].as_str()), (status, Some(code)), "{body}: {answer}");
        assert!(answer["message"].as_str().is_some_and(|text| !text.is_empty()), "{answer}");
        assert!(answer["id"].is_string(), "{answer}");
    }

    async fn set_segment_rules(&self, rules: Value) {
        assert_eq!(self.put("/sandbox/segment-rules", &rules).await.status(), StatusCode::OK);
    }

    async fn journal(&self) -> Value {
        self.get("/sandbox/journal").await
    }

    async fn put(&self, path: &str, body: &Value) -> Response {
        let request = self.request(Method::PUT, path).body(body.to_string());
        request.send().await.expect("an answer")
    }

    async fn set_faults(&self, rules: Value) {
        assert_eq!(self.put("/sandbox/faults", &rules).await.status(), StatusCode::OK);
    }

    /// Waits until the journal's field has the value.
    async fn wait_for(&self, field: &str, value: Value) {
        let reached = async {
            while self.journal().await[field] != value {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(DEADLINE, reached).await.expect("the journal shows it in time");
    }

    async fn stop(mut self) {
        self.shutdown.cancel();
        let ended = tokio::time::timeout(DEADLINE, self.server.join_next()).await;
        ended.expect("stops in time").expect("one server").expect("no panic").expect("served");
    }
}

fn event(key: &str, value: u32) -> Value {
    json!({
        "kind": "custom", "key": key, "creationDate": 1_767_225_600_000_u64,
        "metricValue": value, "contextKeys": {"user": "u-1"},
    })
}

/// A body of `count` events that all count.
fn body(key: &str, count: u32) -> String {
    (0..count).map(|value| event(key, value)).collect::<Value>().to_string()
}

async fn error_of(response: Response) -> (u16, String) {
    let status = response.status().as_u16();
    let body: Value = response.json().await.expect("an error in json");
    assert!(body["message"].as_str().is_some_and(|text| !text.is_empty()), "{body}");
    assert!(body["id"].as_str().is_some_and(|text| text.len() == 36), "{body}");
    (status, body["code"].as_str().expect("a code").to_owned())
}

#[tokio::test]
async fn a_taken_address_is_named_with_a_remedy() {
    let first = Sandbox::bind(Settings::default()).await.expect("a free port");
    let address = first.address();
    let second = Sandbox::bind(Settings { listen: address, ..Settings::default() }).await;
    let message = second.expect_err("taken").to_string();
    assert!(message.contains(&address.to_string()) && message.contains("choose"), "{message}");
}

#[tokio::test]
async fn stopping_releases_the_address() {
    let served = Served::usual().await;
    let listen = served.base.trim_start_matches("http://").parse().expect("address");
    served.journal().await;
    served.stop().await;
    Sandbox::bind(Settings { listen, ..Settings::default() }).await.expect("free again");
}

#[tokio::test]
async fn the_front_page_lists_the_addresses() {
    let served = Served::usual().await;
    let page = served.request(Method::GET, "/").send().await.expect("an answer");
    let page = page.text().await.expect("text");
    for address in [
        "/v2/event-data-import/",
        "/sandbox/journal",
        "/sandbox/events",
        "/sandbox/requests",
        "/sandbox/faults",
        "/sandbox/limits",
        "/sandbox/tokens",
        "/sandbox/metrics",
        "/sandbox/segments",
        "/sandbox/segment-rules",
        "/sandbox/client-side-ids",
        "/api/v2/metrics/{project}",
        "/api/v2/segments/{project}/{environment}",
        "/api/v2/segment-targets/{integration}",
    ] {
        assert!(page.contains(address), "{address}");
    }
}

#[tokio::test]
async fn what_is_not_played_says_so() {
    let served = Served::usual().await;
    let cases = [
        (Method::GET, "/api/v2/projects/shop/metric-groups", 501, "not_implemented"),
        (Method::POST, "/api/v2/segments/shop/test/vip/imports", 501, "not_implemented"),
        (Method::GET, IMPORT, 405, "method_not_allowed"),
        (Method::POST, "/bulk", 404, "not_found"),
        (Method::GET, "/sandbox/nothing", 404, "not_found"),
        (Method::POST, "/sandbox/journal", 405, "method_not_allowed"),
    ];
    for (method, path, status, code) in cases {
        let answer = served.request(method, path).send().await.expect("an answer");
        assert_eq!(error_of(answer).await, (status, code.to_owned()), "{path}");
    }
    let statuses = json!({"404": 1, "405": 1, "501": 2});
    assert_eq!(served.journal().await["requests_by_status"], statuses);
}
