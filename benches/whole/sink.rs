//! The HTTP endpoint that every contender writes to, as a process of its own: it takes whatever is
//! posted, after a delay, counts the distinct records in it, and says so.
//!
//! It plays LaunchDarkly as far as ldsink's checks ask: one metric that counts everything.

use std::collections::VecDeque;
use std::io::{Read as _, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use flate2::read::GzDecoder;
use memchr::memmem::Finder;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::process::now_ms;

/// How lateness is counted, in steps of a millisecond.
const LATENCIES: usize = 60_000;

/// What a sink process is told.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SinkSettings {
    pub(crate) records: usize,
    pub(crate) delay_ms: u64,
    /// The first record whose lateness counts, when records say when they were made.
    pub(crate) late_from: Option<usize>,
}

struct Sink {
    settings: SinkSettings,
    requests: AtomicU64,
    events: AtomicU64,
    distinct: AtomicUsize,
    /// A bit for each record.
    seen: Vec<AtomicU64>,
    latencies: Vec<AtomicU64>,
    id: Finder<'static>,
    made: [Finder<'static>; 2],
}

// === impl SinkSettings ===

impl SinkSettings {
    pub(crate) fn parse(words: &mut VecDeque<String>) -> Result<Self, String> {
        words.pop_front();
        let mut next = || words.pop_front().and_then(|word| word.parse::<u64>().ok());
        let (records, delay_ms, late_from) = (next(), next(), next());
        let missing = || "as-sink RECORDS DELAY_MS [LATE_FROM]".to_owned();
        let count = |it: u64| usize::try_from(it).map_err(|error| error.to_string());
        Ok(Self {
            records: count(records.ok_or_else(missing)?)?,
            delay_ms: delay_ms.ok_or_else(missing)?,
            late_from: late_from.map(count).transpose()?,
        })
    }

    pub(crate) fn words(self) -> Vec<String> {
        let words = ["as-sink".to_owned(), self.records.to_string(), self.delay_ms.to_string()];
        words.into_iter().chain(self.late_from.map(|from| from.to_string())).collect()
    }
}

/// Serves until the process is ended. Prints its address first.
pub(crate) async fn run(settings: SinkSettings) {
    let sink = Arc::new(Sink {
        settings,
        requests: AtomicU64::new(0),
        events: AtomicU64::new(0),
        distinct: AtomicUsize::new(0),
        seen: (0..=settings.records / 64).map(|_| AtomicU64::new(0)).collect(),
        latencies: (0..LATENCIES).map(|_| AtomicU64::new(0)).collect(),
        id: Finder::new(br#""id":""#),
        made: [Finder::new(br#""creationDate":"#), Finder::new(br#""created_at":"#)],
    });
    let router = Router::new()
        .route("/stats", get(stats))
        .fallback(take)
        .layer(DefaultBodyLimit::disable())
        .with_state(sink);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    println!("http://{}", listener.local_addr().unwrap());
    std::io::stdout().flush().unwrap();
    axum::serve(listener, router).await.unwrap();
}

async fn stats(State(sink): State<Arc<Sink>>) -> String {
    let quantile = |share: f64| sink.latency(share);
    json!({
        "requests": sink.requests.load(Ordering::Relaxed),
        "events": sink.events.load(Ordering::Relaxed),
        "distinct": sink.distinct.load(Ordering::Relaxed),
        "latency_ms": { "p50": quantile(0.5), "p90": quantile(0.9), "p99": quantile(0.99), "max": quantile(1.0) },
    })
    .to_string()
}

async fn take(
    State(sink): State<Arc<Sink>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    if method == Method::GET {
        return axum::Json(launchdarkly(uri.path())).into_response();
    }
    tokio::time::sleep(Duration::from_millis(sink.settings.delay_ms)).await;
    sink.requests.fetch_add(1, Ordering::Relaxed);
    // `raw` sends nothing on, it just tells how far it is.
    if let Some(count) = uri.path().strip_prefix("/raw/").and_then(|it| it.parse().ok()) {
        sink.distinct.store(count, Ordering::Relaxed);
        return StatusCode::ACCEPTED.into_response();
    }
    let zipped = headers.get("content-encoding").is_some_and(|it| it == "gzip");
    let mut plain = Vec::new();
    if zipped && GzDecoder::new(&body[..]).read_to_end(&mut plain).is_err() {
        return StatusCode::BAD_REQUEST.into_response();
    }
    let body = if zipped { &plain[..] } else { &body[..] };
    if uri.path().contains("/segments/") {
        sink.count_members(body);
        return StatusCode::NO_CONTENT.into_response();
    }
    sink.count(body);
    StatusCode::ACCEPTED.into_response()
}

/// What a request changes of the members of a big segment.
#[derive(Deserialize)]
struct Members {
    included: Lists,
}

#[derive(Deserialize)]
struct Lists {
    #[serde(default)]
    add: Vec<String>,
    #[serde(default)]
    remove: Vec<String>,
}

/// What ldsink's checks read: one numeric metric whose randomization unit is a user, and big segments.
fn launchdarkly(path: &str) -> Value {
    // Below the environment, behind `/api/v2/segments/{project}/{environment}/`.
    let segment = path.split_once("/segments/").and_then(|(_, rest)| rest.splitn(3, '/').nth(2));
    if let Some(key) = segment {
        return json!({
            "key": key, "name": key, "version": 1, "tags": [], "rules": [], "unbounded": true,
            "unboundedContextKind": "user", "included": [], "excluded": [], "creationDate": 1,
        });
    }
    if path.contains("/metrics/") {
        let metric = json!({
            "_id": "1", "key": "paid", "name": "paid", "kind": "custom", "isNumeric": true,
            "eventKey": "paid", "randomizationUnits": ["user"], "_creationDate": 1, "tags": [],
        });
        json!({ "items": [metric], "totalCount": 1, "_links": {} })
    } else {
        json!({ "items": [], "totalCount": 0, "_links": {} })
    }
}

impl Sink {
    fn count(&self, body: &[u8]) {
        let mut events = 0;
        for n in self.numbers(body) {
            events += 1;
            self.see(n);
        }
        self.events.fetch_add(events, Ordering::Relaxed);
        if let Some(from) = self.settings.late_from {
            self.note_lateness(body, from);
        }
    }

    /// Counts the keys that a request adds to a segment or takes out of it.
    fn count_members(&self, body: &[u8]) {
        let Members { included } = serde_json::from_slice(body).unwrap();
        for key in included.add.iter().chain(&included.remove) {
            self.see(key.parse().unwrap());
            self.events.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The numbers of the records in a body.
    fn numbers<'b>(&self, body: &'b [u8]) -> impl Iterator<Item = usize> + use<'_, 'b> {
        let length = self.id.needle().len();
        self.id
            .find_iter(body)
            .map(move |at| usize::try_from(number(&body[at + length..])).unwrap())
    }

    fn see(&self, n: usize) {
        if n < self.settings.records {
            let bit = 1 << (n % 64);
            if self.seen[n / 64].fetch_or(bit, Ordering::Relaxed) & bit == 0 {
                self.distinct.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    fn note_lateness(&self, body: &[u8], from: usize) {
        let now = u64::try_from(now_ms()).unwrap();
        for finder in &self.made {
            // Each event has one number and one time.
            for (n, at) in self.numbers(body).zip(finder.find_iter(body)) {
                if n >= from {
                    let made = number(&body[at + finder.needle().len()..]);
                    let late = usize::try_from(now.saturating_sub(made)).unwrap();
                    self.latencies[late.min(LATENCIES - 1)].fetch_add(1, Ordering::Relaxed);
                }
            }
        }
    }

    /// The lateness, in milliseconds, that a share of the records did not exceed.
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a number of records"
    )]
    fn latency(&self, share: f64) -> usize {
        let counts = || self.latencies.iter().map(|count| count.load(Ordering::Relaxed));
        let wanted = (counts().sum::<u64>() as f64 * share).ceil() as u64;
        let mut sum = 0;
        counts()
            .position(|count| {
                sum += count;
                sum >= wanted
            })
            .unwrap_or(0)
    }
}

/// The digits at the beginning of a text.
fn number(text: &[u8]) -> u64 {
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit());
    digits.fold(0, |sum, byte| sum * 10 + u64::from(byte - b'0'))
}
