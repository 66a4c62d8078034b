//! A sandbox of its own for each test, looked at over HTTP as a person would.

use std::collections::{BTreeMap, BTreeSet};

use ldsink::sandbox::{DEFAULT_TOKEN, Sandbox, Settings};
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// A running sandbox. Ends on drop.
#[derive(Debug)]
pub(crate) struct LaunchDarkly {
    base: String,
    http: reqwest::Client,
    stop: CancellationToken,
    serving: JoinHandle<()>,
}

/// An accepted event as the journal tells it.
#[derive(Debug, Clone)]
pub(crate) struct AcceptedEvent {
    pub(crate) counts: bool,
    pub(crate) reason: Option<String>,
    pub(crate) request: u64,
    pub(crate) received_at_ms: i64,
    pub(crate) event: Value,
}

/// The token that the sandbox accepts unless a test says otherwise.
pub(crate) const TOKEN: &str = DEFAULT_TOKEN;

impl LaunchDarkly {
    pub(crate) async fn start() -> Self {
        Self::with(Settings::default()).await
    }

    pub(crate) async fn with(settings: Settings) -> Self {
        let sandbox = Sandbox::bind(settings).await.unwrap();
        let base = format!("http://{}", sandbox.address());
        let stop = CancellationToken::new();
        let token = stop.clone();
        let serving = tokio::task::JoinSet::from_iter([async move {
            sandbox.serve(token).await.unwrap();
        }]);
        let serving = spawn(async move { drop(serving.join_all().await) });
        Self { base, http: reqwest::Client::new(), stop, serving }
    }

    pub(crate) fn url(&self) -> &str {
        &self.base
    }

    async fn get(&self, path: &str) -> Value {
        let answer = self.http.get(format!("{}{path}", self.base)).send().await.unwrap();
        assert!(answer.status().is_success(), "{path}: {}", answer.status());
        answer.json().await.unwrap()
    }

    /// What the control API shows at a path, or `None` when it shows nothing.
    pub(crate) async fn look(&self, path: &str) -> Option<Value> {
        let answer = self.http.get(format!("{}{path}", self.base)).send().await.unwrap();
        if answer.status() == 404 {
            return None;
        }
        assert!(answer.status().is_success(), "{path}: {}", answer.status());
        Some(answer.json().await.unwrap())
    }

    pub(crate) async fn put(&self, path: &str, body: &Value) {
        let answer = self.http.put(format!("{}{path}", self.base)).json(body).send().await.unwrap();
        let status = answer.status();
        assert!(status.is_success(), "{path}: {status} {}", answer.text().await.unwrap());
    }

    /// Does what a person does in LaunchDarkly: creates a metric or a segment.
    pub(crate) async fn create(&self, path: &str, body: &Value) {
        let request = self.http.post(format!("{}/api/v2/{path}", self.base)).json(body);
        let answer = request.header("authorization", TOKEN).send().await.unwrap();
        let status = answer.status();
        assert_eq!(status, 201, "{path}: {}", answer.text().await.unwrap());
    }

    /// Accepts one token, which may do only what is listed.
    pub(crate) async fn limit_token(&self, actions: &[&str]) {
        let token = json!({ "token": TOKEN, "actions": actions });
        self.put("/sandbox/tokens", &json!({ "tokens": [token] })).await;
    }

    pub(crate) async fn journal(&self) -> Value {
        self.get("/sandbox/journal").await
    }

    /// A number of the journal's summary.
    pub(crate) async fn count(&self, field: &str) -> u64 {
        self.journal().await[field].as_u64().unwrap()
    }

    pub(crate) async fn set_faults(&self, rules: Value) {
        self.put("/sandbox/faults", &rules).await;
    }

    pub(crate) async fn clear_faults(&self) {
        let url = format!("{}/sandbox/faults", self.base);
        assert!(self.http.delete(url).send().await.unwrap().status().is_success());
    }

    /// Begins the journal anew; metrics and segments stay.
    pub(crate) async fn forget_journal(&self) {
        let url = format!("{}/sandbox/journal", self.base);
        assert!(self.http.delete(url).send().await.unwrap().status().is_success());
    }

    pub(crate) async fn set_tokens(&self, tokens: &[&str]) {
        self.put("/sandbox/tokens", &json!({ "tokens": tokens })).await;
    }

    /// Every request in order, as the journal tells it.
    pub(crate) async fn requests(&self) -> Vec<Value> {
        self.pages("/sandbox/requests?", "requests").await
    }

    /// Every accepted event, in order of acceptance.
    pub(crate) async fn events(&self) -> Vec<AcceptedEvent> {
        self.events_at("/sandbox/events?").await
    }

    async fn events_at(&self, path: &str) -> Vec<AcceptedEvent> {
        let events = self.pages(path, "events").await;
        events
            .into_iter()
            .map(|mut entry| AcceptedEvent {
                counts: entry["counts"].as_bool().unwrap(),
                reason: entry["reason"].as_str().map(str::to_owned),
                request: entry["request"].as_u64().unwrap(),
                received_at_ms: entry["received_at_ms"].as_i64().unwrap(),
                event: entry["event"].take(),
            })
            .collect()
    }

    async fn pages(&self, path: &str, list: &str) -> Vec<Value> {
        let (mut all, mut from) = (Vec::new(), 1);
        loop {
            let mut page = self.get(&format!("{path}from={from}&limit=50000")).await;
            let more = page["more"].as_bool().unwrap();
            from = page["next"].as_u64().unwrap();
            let Value::Array(items) = page[list].take() else { panic!("{path}: no {list}") };
            all.extend(items);
            if !more {
                return all;
            }
        }
    }

    /// How often each identity (`data.id`) counts.
    pub(crate) async fn counted(&self) -> BTreeMap<String, u64> {
        by_identity(self.events().await)
    }

    /// The same for one environment.
    pub(crate) async fn counted_in(&self, environment: &str) -> BTreeMap<String, u64> {
        by_identity(self.events_at(&format!("/sandbox/events?environment={environment}&")).await)
    }

    /// Requests that came again although an earlier one of the same payload ID had been answered.
    pub(crate) async fn needless_repeats(&self) -> Vec<Value> {
        let mut answered = BTreeSet::new();
        let mut needless = Vec::new();
        for request in self.requests().await {
            let Some(id) = request["payload_id"].as_str() else { continue };
            let accepted = request["status"].as_u64().is_some_and(|code| code < 300);
            if request["repeated"] == true && answered.contains(id) {
                needless.push(request);
            } else if accepted {
                answered.insert(id.to_owned());
            }
        }
        needless
    }
}

fn by_identity(events: Vec<AcceptedEvent>) -> BTreeMap<String, u64> {
    let mut counted = BTreeMap::new();
    for accepted in events {
        let id = accepted.event["data"]["id"].as_str().unwrap().to_owned();
        *counted.entry(id).or_default() += u64::from(accepted.counts);
    }
    counted
}

impl Drop for LaunchDarkly {
    fn drop(&mut self) {
        self.stop.cancel();
        self.serving.abort();
    }
}

#[expect(clippy::disallowed_methods, reason = "the handle is kept and aborted on drop")]
fn spawn(task: impl Future<Output = ()> + Send + 'static) -> JoinHandle<()> {
    tokio::spawn(task)
}
