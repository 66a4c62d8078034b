//! The REST clients against a server that gives prepared answers and keeps what it was asked.

mod events;
mod metrics;
mod rest;
mod segments;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::HeaderMap;
use axum::response::Response;
use secrecy::SecretString;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::rest::RestClient;
use super::settings::TargetSettings;

const TOKEN: &str = "api-11111111-2222";
const NOW_MS: i64 = 1_767_225_600_000;

/// A request as it arrived.
#[derive(Debug)]
struct Seen {
    /// Method and address, not unescaped.
    line: String,
    headers: HeaderMap,
    body: String,
}

impl Seen {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

/// An answer to be given.
#[derive(Debug, Clone, Default)]
struct Prepared {
    status: u16,
    headers: Vec<(&'static str, &'static str)>,
    body: String,
}

#[expect(clippy::needless_pass_by_value, reason = "most bodies are made on the spot")]
fn answer(status: u16, body: impl ToString) -> Prepared {
    Prepared { status, headers: Vec::new(), body: body.to_string() }
}

#[derive(Debug, Default)]
struct Desk {
    answers: Mutex<VecDeque<Prepared>>,
    seen: Mutex<Vec<Seen>>,
}

/// Gives its answers in order, each once. Ends on drop.
#[derive(Debug)]
struct Server {
    url: String,
    desk: Arc<Desk>,
    _serving: JoinSet<()>,
}

impl Server {
    async fn with(answers: impl IntoIterator<Item = Prepared>) -> Self {
        let desk = Arc::new(Desk::default());
        desk.answers.lock().unwrap().extend(answers);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new().fallback(give).with_state(Arc::clone(&desk));
        let serving = async move { axum::serve(listener, router).await.unwrap() };
        Self { url, desk, _serving: JoinSet::from_iter([serving]) }
    }

    fn client(&self) -> RestClient {
        client(&self.url)
    }

    /// What arrived since the last time.
    fn seen(&self) -> Vec<Seen> {
        std::mem::take(&mut self.desk.seen.lock().unwrap())
    }

    /// The only request that arrived since the last time.
    fn only(&self) -> Seen {
        let mut seen = self.seen();
        assert_eq!(seen.len(), 1, "{seen:?}");
        seen.remove(0)
    }
}

async fn give(State(desk): State<Arc<Desk>>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let body = to_bytes(body, usize::MAX).await.unwrap();
    desk.seen.lock().unwrap().push(Seen {
        line: format!("{} {}", head.method, head.uri),
        headers: head.headers,
        body: String::from_utf8(body.to_vec()).unwrap(),
    });
    let prepared = desk.answers.lock().unwrap().pop_front().expect("an answer is prepared");
    let mut response = Response::builder().status(prepared.status);
    for (name, value) in prepared.headers {
        response = response.header(name, value);
    }
    response.body(Body::from(prepared.body)).unwrap()
}

fn target(api_url: &str) -> TargetSettings {
    TargetSettings {
        name: "production".to_owned(),
        project: "store front".to_owned(),
        environment: "production".to_owned(),
        access_token: SecretString::from(TOKEN),
        events_url: "https://events.example".to_owned(),
        api_url: api_url.to_owned(),
        company: "Acme".to_owned(),
    }
}

fn client(api_url: &str) -> RestClient {
    RestClient::new(&target(api_url), Duration::from_secs(10), || NOW_MS).unwrap()
}
