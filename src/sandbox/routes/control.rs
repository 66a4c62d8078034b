//! `/sandbox/...`: read the journal, set faults, limits and tokens.
//!
//! For tests and people: no authentication, and any content type will do, so that a plain `curl -d`
//! works.
//!
//! # Invariants
//! - O1: no answer holds a token.
//!
//! Not here: metrics and segments (`control_resources`).

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, put};
use axum::{Json, Router};
use bytes::Bytes;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use crate::sandbox::account::Account;
use crate::sandbox::journal::EventFilter;
use crate::sandbox::refusal::Refusal;
use crate::sandbox::rights::Rights;
use crate::sandbox::settings::JournalMode;

/// Page size unless asked for: some megabytes of events.
const DEFAULT_PAGE: usize = 10_000;
/// A page is built in memory, so there is an end to it.
const LARGEST_PAGE: usize = 100_000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EventQuery {
    event_key: Option<String>,
    project: Option<String>,
    environment: Option<String>,
    #[serde(default)]
    from: u64,
    limit: Option<usize>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RequestQuery {
    #[serde(default)]
    from: u64,
    limit: Option<usize>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Tokens {
    tokens: Vec<Token>,
}

/// A token that may do everything, or only what is listed: role actions.
#[derive(Deserialize)]
#[serde(untagged)]
enum Token {
    Full(String),
    Limited { token: String, actions: BTreeSet<String> },
}

type Shared = State<Arc<Account>>;

/// Builds the routes below `/sandbox`.
pub(super) fn router() -> Router<Arc<Account>> {
    Router::new()
        .route("/journal", get(show_journal).delete(reset_journal))
        .route("/events", get(show_events))
        .route("/requests", get(show_requests))
        .route("/faults", get(show_faults).put(replace_faults).delete(clear_faults))
        .route("/limits", get(show_limits).put(replace_limits))
        .route("/tokens", put(replace_tokens))
}

async fn show_journal(State(account): Shared) -> Response {
    let summary = account.journal().summary();
    Json(summary).into_response()
}

async fn reset_journal(State(account): Shared) -> StatusCode {
    account.journal().reset();
    account.metrics().forget_history();
    account.segments().forget_history();
    StatusCode::NO_CONTENT
}

async fn show_events(State(account): Shared, Query(query): Query<EventQuery>) -> Response {
    let EventQuery { event_key, project, environment, from, limit } = query;
    let filter = EventFilter { event_key, project, environment };
    if let Err(refusal) = ensure_kept(&account) {
        return refusal.into_answer(0);
    }
    // The lock is held for choosing the events; they are written out without it.
    let page = account.journal().events(&filter, from, page_size(limit));
    Json(page).into_response()
}

async fn show_requests(State(account): Shared, Query(query): Query<RequestQuery>) -> Response {
    if let Err(refusal) = ensure_kept(&account) {
        return refusal.into_answer(0);
    }
    let page = account.journal().requests(query.from, page_size(query.limit));
    Json(page).into_response()
}

async fn show_faults(State(account): Shared) -> Response {
    let rules = account.faults().rules().to_vec();
    Json(rules).into_response()
}

async fn replace_faults(State(account): Shared, body: Bytes) -> Response {
    let replaced = parse(&body).and_then(|rules| {
        account.faults().replace(rules).map_err(|error| Refusal::bad_request(error.to_string()))
    });
    match replaced {
        Ok(()) => show_faults(State(account)).await,
        Err(refusal) => refusal.into_answer(0),
    }
}

async fn clear_faults(State(account): Shared) -> StatusCode {
    account.faults().clear();
    StatusCode::NO_CONTENT
}

async fn show_limits(State(account): Shared) -> Response {
    let settings = account.limits().settings().clone();
    Json(settings).into_response()
}

async fn replace_limits(State(account): Shared, body: Bytes) -> Response {
    let replaced = parse(&body).and_then(|settings| {
        account.limits().replace(settings).map_err(|error| Refusal::bad_request(error.to_string()))
    });
    match replaced {
        Ok(()) => show_limits(State(account)).await,
        Err(refusal) => refusal.into_answer(0),
    }
}

async fn replace_tokens(State(account): Shared, body: Bytes) -> Response {
    match parse::<Tokens>(&body) {
        Ok(Tokens { tokens }) => {
            let accepted = tokens.len();
            let with_rights = |token| match token {
                Token::Full(token) => (token, Rights::All),
                Token::Limited { token, actions } => (token, Rights::Only(actions)),
            };
            account.replace_tokens(tokens.into_iter().map(with_rights).collect());
            Json(json!({ "tokens_accepted": accepted })).into_response()
        }
        // The parser's message would quote what it stumbled over, which may be a token.
        Err(_) => Refusal::bad_request("expected {\"tokens\": [\"...\"]}").into_answer(0),
    }
}

pub(super) fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Refusal> {
    serde_json::from_slice(body).map_err(|error| Refusal::bad_request(error.to_string()))
}

pub(super) fn ensure_kept(account: &Account) -> Result<(), Refusal> {
    match account.journal().mode() {
        JournalMode::Full => Ok(()),
        JournalMode::Counts => Err(Refusal::new(
            StatusCode::CONFLICT,
            "this journal only counts; start the sandbox with the full one to see single items",
        )),
    }
}

pub(super) fn page_size(asked: Option<usize>) -> usize {
    asked.unwrap_or(DEFAULT_PAGE).clamp(1, LARGEST_PAGE)
}
