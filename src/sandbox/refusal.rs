//! Words every error answer: a status, and a body of `code`, `message` and `id`.
//!
//! The import page promises only "JSON that states the reason"; the shape is the REST API's.
//! Messages are the sandbox's own and say what to do, for the person who reads them in a log.
//!
//! Not here: who refuses and why (`reception`, `import_body`, `event_check`).

use axum::Json;
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{AppendHeaders, IntoResponse, Response};
use serde::Serialize;
use uuid::Uuid;

/// Headers that tell a client when to come back.
pub(super) type Hints = Vec<(HeaderName, HeaderValue)>;

/// A request that is not granted.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    /// Instead of the one the status stands for.
    code: Option<&'static str>,
    message: String,
    hints: Hints,
}

#[derive(Serialize)]
struct ErrorBody<'a> {
    code: &'static str,
    message: &'a str,
    id: String,
}

// === impl Refusal ===

impl Refusal {
    pub(super) fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, code: None, message: message.into(), hints: Hints::new() }
    }

    pub(super) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    pub(super) fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, message)
    }

    pub(super) fn forbidden(message: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, message)
    }

    /// What exists cannot be created.
    pub(super) fn key_exists(message: impl Into<String>) -> Self {
        Self { code: Some("key_exists"), ..Self::new(StatusCode::CONFLICT, message) }
    }

    /// Somebody else wrote in between.
    pub(super) fn outdated(message: impl Into<String>) -> Self {
        let code = Some("optimistic_locking_error");
        Self { code, ..Self::new(StatusCode::CONFLICT, message) }
    }

    pub(super) fn not_played(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_IMPLEMENTED, message)
    }

    pub(super) fn with_hints(mut self, hints: Hints) -> Self {
        self.hints.extend(hints);
        self
    }

    /// Renders the answer. `request` is the request's number in the journal, 0 for a request that
    /// is not in it; the body's `id` is that number written as a UUID.
    pub(super) fn into_answer(self, request: u64) -> Response {
        let body = ErrorBody {
            code: self.code.unwrap_or_else(|| code_of(self.status)),
            message: &self.message,
            id: Uuid::from_u64_pair(0, request).to_string(),
        };
        (self.status, AppendHeaders(self.hints), Json(body)).into_response()
    }
}

/// Names a status as LaunchDarkly's REST API does, where it is known to.
fn code_of(status: StatusCode) -> &'static str {
    match status {
        StatusCode::UNAUTHORIZED => "unauthorized",
        StatusCode::FORBIDDEN => "forbidden",
        StatusCode::NOT_FOUND => "not_found",
        StatusCode::METHOD_NOT_ALLOWED => "method_not_allowed",
        StatusCode::CONFLICT => "conflict",
        StatusCode::TOO_MANY_REQUESTS => "rate_limited",
        StatusCode::NOT_IMPLEMENTED => "not_implemented",
        StatusCode::SERVICE_UNAVAILABLE => "service_unavailable",
        other if other.is_server_error() => "internal_error",
        _ => "invalid_request",
    }
}
