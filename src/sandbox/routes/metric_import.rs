//! `POST /v2/event-data-import/{project}/{environment}`: append metric events.
//!
//! Where the documentation names no order of checks, the one here goes from the caller to the
//! content: environment, headers, size, body. A body is unpacked and read on a blocking thread: a
//! full one takes tens of milliseconds that the other connections should not wait for.
//!
//! # Invariants
//! - M1: 202 is answered only when the events are in the journal, or were there already.
//!
//! Not here: token, limits, faults (`reception`); which events count (`event_check`).

use std::sync::Arc;

use axum::extract::{ConnectInfo, Path, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::Response;
use uuid::Uuid;

use super::visit_of;
use crate::sandbox::account::Account;
use crate::sandbox::event_check;
use crate::sandbox::import_body::{self, Wire};
use crate::sandbox::journal::{Batch, Fingerprint};
use crate::sandbox::line::Line;
use crate::sandbox::operation::{Operation, Place, Target};
use crate::sandbox::reception::{self, Conduct, Done, Errand, Granted, Visit};
use crate::sandbox::refusal::Refusal;
use crate::sandbox::rights::Rights;

/// The only event schema the import API reads.
const EVENT_SCHEMA: &str = "4";
/// A UUID in its usual form, hyphens included; the parser alone would take others too.
const UUID_LENGTH: usize = 36;

pub(super) async fn handle(
    State(account): State<Arc<Account>>,
    ConnectInfo(line): ConnectInfo<Line>,
    Path((project, environment)): Path<(String, String)>,
    request: Request,
) -> Response {
    let (head, body) = request.into_parts();
    let mut visit = visit_of(head);
    let wire = Wire::read(body, &visit.headers, account.max_body_bytes()).await;
    visit.bytes_wire = wire.received;

    let target = Target { project, environment };
    let deciding = Arc::clone(&account);
    let decided = tokio::task::spawn_blocking(move || decide(&deciding, &visit, target, wire));
    match decided.await {
        Ok(conduct) => conduct.perform(&line, &account.closing).await,
        Err(error) => {
            tracing::error!(%error, "metric import failed inside the sandbox");
            Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "a defect of the sandbox; see its log")
                .into_answer(0)
        }
    }
}

fn decide(account: &Account, visit: &Visit, target: Target, wire: Wire) -> Conduct {
    let body = import_body::packing(&visit.headers)
        .and_then(|packing| wire.unpack(packing, account.max_body_bytes()));
    let place = Place::of_target(&target);
    let (operation, rights) = (Operation::MetricImport, Rights::default());
    let errand = Errand { operation, place, body, notes: Vec::new(), rights };
    reception::receive(account, visit, errand, |errand| {
        import(account, &visit.headers, target, errand.body)
    })
}

fn import(
    account: &Account,
    headers: &HeaderMap,
    target: Target,
    body: Result<Vec<u8>, Refusal>,
) -> Result<Granted, Refusal> {
    account.ensure_known(&target)?;
    ensure_schema(headers)?;
    ensure_sized(headers)?;
    ensure_json(headers)?;
    ensure_user_agent(headers)?;
    let payload_id = payload_id(headers)?;
    let body = body?;
    let events =
        event_check::check(&body).map_err(|error| Refusal::bad_request(error.to_string()))?;
    let content = Fingerprint::of(&target, &body);
    let batch = Batch { target, payload_id, content, body, events };
    let done = Done { batch: Some(batch), ..Done::default() };
    Ok(Granted { done, ..Granted::empty(StatusCode::ACCEPTED) })
}

// === the headers, in the order of the documentation's table ===

fn ensure_schema(headers: &HeaderMap) -> Result<(), Refusal> {
    let schema = headers.get("x-launchdarkly-event-schema");
    require(schema.is_some_and(|value| value == EVENT_SCHEMA), || {
        Refusal::new(StatusCode::NOT_ACCEPTABLE, "X-LaunchDarkly-Event-Schema must be 4")
    })
}

fn ensure_sized(headers: &HeaderMap) -> Result<(), Refusal> {
    require(import_body::content_length(headers).is_some(), || {
        Refusal::new(
            StatusCode::LENGTH_REQUIRED,
            "Content-Length is missing; send a sized body, not a chunked one",
        )
    })
}

fn ensure_json(headers: &HeaderMap) -> Result<(), Refusal> {
    let declared = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let media_type = declared.and_then(|value| value.split(';').next()).map(str::trim);
    require(media_type.is_some_and(|it| it.eq_ignore_ascii_case("application/json")), || {
        Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "Content-Type must be application/json")
    })
}

fn ensure_user_agent(headers: &HeaderMap) -> Result<(), Refusal> {
    let named = headers.get(header::USER_AGENT).is_some_and(|value| !value.is_empty());
    require(named, || {
        Refusal::bad_request("User-Agent is missing; use MetricImport-{COMPANY}-int/{VERSION}")
    })
}

fn payload_id(headers: &HeaderMap) -> Result<Option<Uuid>, Refusal> {
    let Some(value) = headers.get("x-launchdarkly-payload-id") else { return Ok(None) };
    let text = value.to_str().ok().filter(|text| text.len() == UUID_LENGTH);
    let id = text.and_then(|text| Uuid::try_parse(text).ok());
    let malformed = || Refusal::bad_request("X-LaunchDarkly-Payload-ID must be a UUID");
    id.map(Some).ok_or_else(malformed)
}

fn require(holds: bool, refusal: impl FnOnce() -> Refusal) -> Result<(), Refusal> {
    if holds { Ok(()) } else { Err(refusal()) }
}
