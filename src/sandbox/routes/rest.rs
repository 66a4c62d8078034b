//! Takes a REST request through what all of `/api/v2` has in common.
//!
//! Where the documentation names no order of checks, the one here goes from the caller to the
//! content: API version, place, headers, body, state. Statuses are those the API description lists,
//! so a wrong content type is a 400.
//!
//! # Invariants
//! - Z1: work is done on a blocking thread, under the lock of what it changes.
//!
//! Not here: token, limits, faults (`reception`), the operations (the files beside this one).

use std::sync::Arc;

use axum::extract::{Query, Request};
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::Response;
use serde::de::{DeserializeOwned, Error};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use super::visit_of;
use crate::sandbox::account::Account;
use crate::sandbox::import_body::{Packing, Wire, packing};
use crate::sandbox::journal::Note;
use crate::sandbox::line::Line;
use crate::sandbox::operation::{Occasion, Operation, Place};
use crate::sandbox::reception::{self, Errand, Granted, Visit};
use crate::sandbox::refusal::Refusal;
use crate::sandbox::rights::Rights;

/// The header's values that still work: the current version, and `beta` for any beta resource.
/// All others are past their end of life.
const API_VERSIONS: [&str; 2] = ["20240415", "beta"];

/// A request whose body has arrived.
pub(super) struct Arrival {
    visit: Visit,
    uri: Uri,
    body: Result<Vec<u8>, Refusal>,
}

/// What an operation works on.
pub(super) struct Call {
    pub(super) occasion: Occasion,
    headers: HeaderMap,
    uri: Uri,
    body: Result<Vec<u8>, Refusal>,
    pub(super) rights: Rights,
}

/// How the body of a `PATCH` is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    Document,
    Semantic,
}

// === impl Arrival ===

impl Arrival {
    pub(super) async fn read(account: &Account, request: Request) -> Self {
        let (head, body) = request.into_parts();
        let uri = head.uri.clone();
        let mut visit = visit_of(head);
        let wire = Wire::read(body, &visit.headers, account.max_body_bytes()).await;
        visit.bytes_wire = wire.received;
        let body = match packing(&visit.headers) {
            Ok(Packing::Plain) => wire.unpack(Packing::Plain, account.max_body_bytes()),
            Ok(Packing::Gzip) | Err(_) => Err(Refusal::bad_request(
                "the REST API documents no Content-Encoding; send the body plain",
            )),
        };
        Self { visit, uri, body }
    }

    pub(super) fn body(&self) -> Option<&[u8]> {
        self.body.as_deref().ok()
    }

    /// Has the operation carried out, and answers.
    pub(super) async fn serve<W>(
        self,
        account: Arc<Account>,
        line: Line,
        (operation, place): (Operation, Place),
        work: W,
    ) -> Response
    where
        W: FnOnce(&Account, Call) -> Result<Granted, Refusal> + Send + 'static,
    {
        let closing = account.closing.clone();
        let decided = tokio::task::spawn_blocking(move || {
            let Self { visit, uri, body } = self;
            let occasion = Occasion { operation, at_ms: visit.received_at_ms };
            let versioned = visit.headers.contains_key(API_VERSION);
            let notes = if versioned { Vec::new() } else { vec![Note::ApiVersionMissing] };
            let headers = visit.headers.clone();
            let rights = Rights::default();
            let errand = Errand { operation, place, body, notes, rights };
            reception::receive(&account, &visit, errand, |errand| {
                ensure_version(&headers)?;
                let Errand { body, rights, .. } = errand;
                work(&account, Call { occasion, headers, uri, body, rights })
            })
        });
        match decided.await {
            Ok(conduct) => conduct.perform(&line, &closing).await,
            Err(error) => {
                tracing::error!(%error, ?operation, "operation failed inside the sandbox");
                let message = "a defect of the sandbox; see its log";
                Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, message).into_answer(0)
            }
        }
    }
}

/// Reads an object and nothing else: left alone, serde takes an array for the fields in their order.
pub(super) fn object<'de, T, D>(source: D) -> Result<T, D::Error>
where
    T: DeserializeOwned,
    D: Deserializer<'de>,
{
    let fields = Map::deserialize(source)?;
    T::deserialize(Value::Object(fields)).map_err(D::Error::custom)
}

const API_VERSION: &str = "ld-api-version";

fn ensure_version(headers: &HeaderMap) -> Result<(), Refusal> {
    let Some(version) = headers.get(API_VERSION) else { return Ok(()) };
    if API_VERSIONS.iter().any(|known| version == known) {
        return Ok(());
    }
    Err(Refusal::bad_request(format!(
        "LD-API-Version must be {}; older versions are past their end of life",
        API_VERSIONS.join(" or ")
    )))
}

// === impl Call ===

impl Call {
    /// # Errors
    /// 400 for a query that cannot be read.
    pub(super) fn query<T: DeserializeOwned>(&self) -> Result<T, Refusal> {
        let query = Query::try_from_uri(&self.uri);
        query.map(|Query(query)| query).map_err(|error| Refusal::bad_request(error.body_text()))
    }

    pub(super) fn path(&self) -> &str {
        self.uri.path()
    }

    /// Reads the body as JSON.
    ///
    /// # Errors
    /// 400 for another content type, a body that is not JSON, or not of this shape.
    pub(super) fn json<T: DeserializeOwned>(self) -> Result<T, Refusal> {
        let body = self.bytes()?;
        serde_json::from_slice(&body).map_err(|error| Refusal::bad_request(error.to_string()))
    }

    /// Reads the body as a JSON object of this shape.
    ///
    /// # Errors
    /// As `json`.
    pub(super) fn object<T: DeserializeOwned>(self) -> Result<T, Refusal> {
        object(self.json::<Value>()?).map_err(|error| Refusal::bad_request(error.to_string()))
    }

    /// Returns the body, which claims to be JSON.
    pub(super) fn bytes(self) -> Result<Vec<u8>, Refusal> {
        let media_type = self.content_type().next();
        if media_type.is_some_and(|it| it.eq_ignore_ascii_case("application/json")) {
            self.body
        } else {
            Err(Refusal::bad_request("Content-Type must be application/json"))
        }
    }

    /// # Errors
    /// 400 for a domain model that is not the semantic patch's.
    pub(super) fn dialect(&self) -> Result<Dialect, Refusal> {
        let model = self.content_type().skip(1).find_map(|it| it.strip_prefix("domain-model="));
        match model {
            None => Ok(Dialect::Document),
            Some("launchdarkly.semanticpatch") => Ok(Dialect::Semantic),
            Some(_) => Err(Refusal::bad_request("domain-model must be launchdarkly.semanticpatch")),
        }
    }

    fn content_type(&self) -> impl Iterator<Item = &str> {
        let declared = self.headers.get(header::CONTENT_TYPE).and_then(|it| it.to_str().ok());
        declared.unwrap_or_default().split(';').map(str::trim)
    }
}
