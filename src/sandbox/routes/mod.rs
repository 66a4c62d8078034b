//! Lays out the sandbox's addresses.
//!
//! One file per operation. A new one gets its variant in `operation`, its file here and its line in
//! `router`; faults, token, limits and journal come with `reception::receive`.
//!
//! Not here: imports, exports and expiring targets of segments, metric groups; `/api/v2` says so
//! with a 501.

mod caller_identity;
mod control;
mod control_resources;
mod front_page;
mod metric_import;
mod metrics;
mod rest;
mod segment_members;
mod segment_targets;
mod segments;

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::Response;
use axum::routing::{any, get, post};

use super::account::Account;
use super::clock::epoch_ms;
use super::reception::{self, Visit};
use super::refusal::Refusal;

/// Builds the router over an account.
pub(super) fn router(account: Arc<Account>) -> Router {
    Router::new()
        .route("/", get(front_page::show))
        .route("/v2/event-data-import/{project}/{environment}", post(metric_import::handle))
        .route("/api/v2/caller-identity", get(caller_identity::handle))
        .merge(metrics::router())
        .merge(segments::router())
        .route("/api/v2/segment-targets/{integration}", post(segment_targets::handle))
        .route("/api/v2/{*resource}", any(not_built))
        .nest("/sandbox", control::router().merge(control_resources::router()))
        .method_not_allowed_fallback(wrong_verb)
        .fallback(unknown_address)
        .with_state(account)
}

async fn not_built(State(account): State<Arc<Account>>, request: Request) -> Response {
    let message = "the sandbox does not play this operation; GET / lists those it does";
    turn_away(&account, request, Refusal::new(StatusCode::NOT_IMPLEMENTED, message))
}

async fn wrong_verb(State(account): State<Arc<Account>>, request: Request) -> Response {
    let message = "this address does not know that verb";
    turn_away(&account, request, Refusal::new(StatusCode::METHOD_NOT_ALLOWED, message))
}

async fn unknown_address(State(account): State<Arc<Account>>, request: Request) -> Response {
    turn_away(&account, request, Refusal::not_found("no such address; GET / lists them"))
}

/// The journal is about LaunchDarkly's addresses: slips at the sandbox's own are not in it.
fn turn_away(account: &Account, request: Request, refusal: Refusal) -> Response {
    let visit = visit_of(request.into_parts().0);
    if visit.path == "/" || visit.path.starts_with("/sandbox") {
        return refusal.into_answer(0);
    }
    reception::turn_away(account, &visit, refusal)
}

/// The query is left out: clients have been known to put tokens there.
fn visit_of(head: Parts) -> Visit {
    Visit {
        received_at_ms: epoch_ms(),
        method: head.method,
        path: head.uri.path().to_owned(),
        headers: head.headers,
        bytes_wire: 0,
    }
}
