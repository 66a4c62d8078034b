//! An OpenTelemetry collector that keeps what it is sent, and a reading of OTLP of its own: the fields
//! are taken out of the protobuf bytes by their numbers, so that what ldsink writes is not read by
//! what wrote it.
//!
//! Source: <https://github.com/open-telemetry/opentelemetry-proto/tree/main/opentelemetry/proto>.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::serve::ListenerExt;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// A collector. Ends on drop.
#[derive(Debug)]
pub(crate) struct Collector {
    url: String,
    seen: Arc<Seen>,
    _serving: JoinSet<()>,
}

/// How it answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mood {
    Takes,
    /// Takes all spans of a request but one.
    RejectsOne,
    Answers(u16),
    /// Takes a request and never answers it.
    Hangs,
}

/// One export.
#[derive(Debug, Clone)]
pub(crate) struct Export {
    pub(crate) path: String,
    pub(crate) headers: BTreeMap<String, String>,
    /// The message as it came.
    pub(crate) body: Vec<u8>,
    pub(crate) resource: BTreeMap<String, String>,
    pub(crate) spans: Vec<Span>,
}

/// A span, its IDs in hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) trace: String,
    pub(crate) id: String,
    /// Empty where there is none.
    pub(crate) parent: String,
    pub(crate) name: String,
    pub(crate) kind: u64,
    pub(crate) nanoseconds: u64,
    pub(crate) flags: u32,
    pub(crate) attributes: BTreeMap<String, String>,
    /// Trace and span.
    pub(crate) links: Vec<(String, String)>,
    pub(crate) dropped_links: u64,
    /// 2 is an error.
    pub(crate) status: u64,
}

#[derive(Debug)]
struct Seen {
    mood: Mutex<Mood>,
    connections: Mutex<usize>,
    taken: Mutex<Vec<Export>>,
}

/// A field's value, by protobuf's wire types.
#[derive(Debug, Clone, Copy)]
enum Value<'b> {
    Number(u64),
    Fixed64(u64),
    Bytes(&'b [u8]),
    Fixed32(u32),
}

// === impl Collector ===

impl Collector {
    pub(crate) async fn start(mood: Mood) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (connections, taken) = Default::default();
        let seen = Arc::new(Seen { mood: Mutex::new(mood), connections, taken });
        let app = Router::new().fallback(receive).with_state(Arc::clone(&seen));
        let counting = Arc::clone(&seen);
        let listener = listener.tap_io(move |_| *counting.connections.lock().unwrap() += 1);
        let serving =
            JoinSet::from_iter([async move { axum::serve(listener, app).await.unwrap() }]);
        Self { url, seen, _serving: serving }
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    pub(crate) fn is_now(&self, mood: Mood) {
        *self.seen.mood.lock().unwrap() = mood;
    }

    /// How many connections were made.
    pub(crate) fn connections(&self) -> usize {
        *self.seen.connections.lock().unwrap()
    }

    /// Every request that came, taken or not.
    pub(crate) fn exports(&self) -> Vec<Export> {
        self.seen.taken.lock().unwrap().clone()
    }

    /// All their spans.
    pub(crate) fn spans(&self) -> Vec<Span> {
        self.exports().into_iter().flat_map(|export| export.spans).collect()
    }
}

async fn receive(
    State(seen): State<Arc<Seen>>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let (resource, spans) = request(&body);
    let text = |value: &header::HeaderValue| value.to_str().unwrap().to_owned();
    let headers = headers.iter().map(|(name, value)| (name.to_string(), text(value))).collect();
    let (path, body) = (uri.path().to_owned(), body.to_vec());
    seen.taken.lock().unwrap().push(Export { path, headers, body, resource, spans });
    let mood = *seen.mood.lock().unwrap();
    let kind = [(header::CONTENT_TYPE, "application/x-protobuf")];
    match mood {
        Mood::Takes => (kind, Vec::new()).into_response(),
        // ExportTraceServiceResponse { partial_success: { rejected_spans: 1 } }
        Mood::RejectsOne => (kind, vec![0x0a, 0x02, 0x08, 0x01]).into_response(),
        Mood::Answers(status) => StatusCode::from_u16(status).unwrap().into_response(),
        Mood::Hangs => {
            tokio::time::sleep(Duration::from_secs(3_600)).await;
            StatusCode::OK.into_response()
        }
    }
}

// --- OTLP's messages, by the numbers of their fields ---

fn request(bytes: &[u8]) -> (BTreeMap<String, String>, Vec<Span>) {
    let (mut resource, mut spans) = (BTreeMap::new(), Vec::new());
    for of_one in all(bytes, 1) {
        resource.extend(all(of_one, 1).flat_map(|of_resource| attributes(of_resource, 1)));
        let scopes = all(of_one, 2);
        spans.extend(scopes.flat_map(|scope| all(scope, 2)).map(span));
    }
    (resource, spans)
}

fn span(bytes: &[u8]) -> Span {
    let text = |number| String::from_utf8(one(bytes, number).to_vec()).unwrap();
    let status = all(bytes, 15).map(|status| number(status, 3)).sum();
    Span {
        trace: hex(one(bytes, 1)),
        id: hex(one(bytes, 2)),
        parent: hex(one(bytes, 4)),
        name: text(5),
        kind: number(bytes, 6),
        nanoseconds: number(bytes, 8).checked_sub(number(bytes, 7)).unwrap(),
        flags: u32::try_from(number(bytes, 16)).unwrap(),
        attributes: attributes(bytes, 9).collect(),
        links: all(bytes, 13).map(|link| (hex(one(link, 1)), hex(one(link, 2)))).collect(),
        dropped_links: number(bytes, 14),
        status,
    }
}

fn attributes(bytes: &[u8], field: u32) -> impl Iterator<Item = (String, String)> {
    all(bytes, field).map(|pair| {
        let name = String::from_utf8(one(pair, 1).to_vec()).unwrap();
        let value = one(pair, 2);
        let shown = match fields(value)[..] {
            [(1, Value::Bytes(text))] => String::from_utf8(text.to_vec()).unwrap(),
            [(3, Value::Number(number))] => number.to_string(),
            ref other => panic!("{name} is {other:?}"),
        };
        (name, shown)
    })
}

fn all(bytes: &[u8], wanted: u32) -> impl Iterator<Item = &[u8]> {
    let own = fields(bytes).into_iter().filter(move |(number, _)| *number == wanted);
    own.map(move |(_, value)| {
        let Value::Bytes(inner) = value else { panic!("field {wanted} is a number") };
        inner
    })
}

fn one(bytes: &[u8], wanted: u32) -> &[u8] {
    all(bytes, wanted).next().unwrap_or_default()
}

fn number(bytes: &[u8], wanted: u32) -> u64 {
    let mut values = fields(bytes).into_iter().filter(|(number, _)| *number == wanted);
    let value = values.next_back().map_or(Value::Number(0), |(_, value)| value);
    match value {
        Value::Number(number) | Value::Fixed64(number) => number,
        Value::Fixed32(number) => number.into(),
        Value::Bytes(_) => panic!("field {wanted} is no number"),
    }
}

fn fields(mut rest: &[u8]) -> Vec<(u32, Value<'_>)> {
    let mut fields = Vec::new();
    while !rest.is_empty() {
        let tag = varint(&mut rest);
        let value = match tag & 7 {
            0 => Value::Number(varint(&mut rest)),
            1 => Value::Fixed64(u64::from_le_bytes(take(&mut rest, 8).try_into().unwrap())),
            2 => {
                let length = varint(&mut rest);
                Value::Bytes(take(&mut rest, usize::try_from(length).unwrap()))
            }
            5 => Value::Fixed32(u32::from_le_bytes(take(&mut rest, 4).try_into().unwrap())),
            other => panic!("wire type {other}"),
        };
        fields.push((u32::try_from(tag >> 3).unwrap(), value));
    }
    fields
}

fn varint(rest: &mut &[u8]) -> u64 {
    let mut number = 0;
    for at in 0..10 {
        let byte = u64::from(take(rest, 1)[0]);
        number |= (byte & 0x7f) << (7 * at);
        if byte < 0x80 {
            return number;
        }
    }
    panic!("a number without an end");
}

fn take<'b>(rest: &mut &'b [u8], length: usize) -> &'b [u8] {
    let (head, tail) = rest.split_at(length);
    *rest = tail;
    head
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |digits, byte| format!("{digits}{byte:02x}"))
}
