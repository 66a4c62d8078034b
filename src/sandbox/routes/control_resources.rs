//! `/sandbox/metrics`, `/sandbox/segments` and what belongs to them: look at what the REST API keeps.
//!
//! LaunchDarkly does not tell the members of a big segment; this does, and how they came there.
//!
//! Not here: the journal, faults, limits and tokens (`control`).

use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Value, json};

use super::control::{ensure_kept, page_size, parse};
use crate::sandbox::account::Account;
use crate::sandbox::operation::Target;
use crate::sandbox::refusal::Refusal;
use crate::sandbox::segment_rules::SegmentRules;
use crate::sandbox::segments::{Detail, Portrait};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SegmentQuery {
    /// `false` leaves the members out.
    #[serde(default = "yes")]
    members: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct HistoryQuery {
    #[serde(default)]
    from: u64,
    limit: Option<usize>,
}

type Shared = State<Arc<Account>>;

fn yes() -> bool {
    true
}

/// Builds the routes below `/sandbox` that show metrics and segments.
pub(super) fn router() -> Router<Arc<Account>> {
    let segment = "/segments/{project}/{environment}/{key}";
    Router::new()
        .route("/metrics", get(show_metrics).delete(clear_metrics))
        .route("/metrics/{project}/{key}", get(show_metric))
        .route("/metrics/{project}/{key}/history", get(show_metric_history))
        .route("/segments", get(show_segments).delete(clear_segments))
        .route(segment, get(show_segment))
        .route(&format!("{segment}/history"), get(show_segment_history))
        .route("/segment-rules", get(show_rules).put(replace_rules))
        .route("/client-side-ids/{project}/{environment}", get(show_client_side_id))
}

async fn show_metrics(State(account): Shared) -> Response {
    let metrics: Vec<_> = {
        let metrics = account.metrics();
        let rows = metrics.all().map(
            |(project, key, version)| json!({"project": project, "key": key, "version": version}),
        );
        rows.collect()
    };
    Json(json!({"metrics": metrics})).into_response()
}

async fn clear_metrics(State(account): Shared) -> StatusCode {
    account.metrics().clear();
    StatusCode::NO_CONTENT
}

async fn show_metric(
    State(account): Shared,
    Path((project, key)): Path<(String, String)>,
) -> Response {
    let found = account.metrics().get(&project, &key).map(|metric| {
        let definition = metric.answer(&project);
        json!({
            "project": project, "key": key, "version": metric.version(), "definition": definition,
        })
    });
    answer(found)
}

async fn show_metric_history(
    State(account): Shared,
    Path(home): Path<(String, String)>,
    Query(query): Query<HistoryQuery>,
) -> Response {
    if let Err(refusal) = ensure_kept(&account) {
        return refusal.into_answer(0);
    }
    let page = account.metrics().history(&home, query.from, page_size(query.limit));
    Json(page).into_response()
}

async fn show_segments(State(account): Shared) -> Response {
    let rows: Result<Vec<Value>, _> = {
        let segments = account.segments();
        let all = segments.all();
        all.map(|(home, it)| serde_json::to_value(Portrait::of(it, home, Detail::Counts))).collect()
    };
    answer(rows.map(|rows| json!({"segments": rows})).map_err(|error| unwritable(&error)))
}

async fn clear_segments(State(account): Shared) -> StatusCode {
    account.segments().clear();
    StatusCode::NO_CONTENT
}

async fn show_segment(
    State(account): Shared,
    Path((project, environment, key)): Path<(String, String, String)>,
    Query(query): Query<SegmentQuery>,
) -> Response {
    let home = Target { project, environment };
    if !query.members {
        let found = account.segments().get(&home, &key).map(|segment| {
            let portrait = Portrait::of(segment, &home, Detail::Counts);
            serde_json::to_value(portrait).map_err(|error| unwritable(&error))
        });
        return answer(found.flatten());
    }
    // Members share their texts, so a copy to write out without the lock is cheap.
    let found = account.segments().get(&home, &key).cloned();
    match found {
        Ok(segment) => Json(Portrait::of(&segment, &home, Detail::Members)).into_response(),
        Err(refusal) => refusal.into_answer(0),
    }
}

async fn show_segment_history(
    State(account): Shared,
    Path((project, environment, key)): Path<(String, String, String)>,
    Query(query): Query<HistoryQuery>,
) -> Response {
    if let Err(refusal) = ensure_kept(&account) {
        return refusal.into_answer(0);
    }
    let home = (Target { project, environment }, key);
    let page = account.segments().history(&home, query.from, page_size(query.limit));
    Json(page).into_response()
}

async fn show_rules(State(account): Shared) -> Response {
    let rules = account.segment_rules().clone();
    Json(rules).into_response()
}

async fn replace_rules(State(account): Shared, body: Bytes) -> Response {
    let replaced = parse::<SegmentRules>(&body).and_then(|rules| {
        rules.check().map_err(Refusal::bad_request)?;
        *account.segment_rules() = rules;
        Ok(())
    });
    match replaced {
        Ok(()) => show_rules(State(account)).await,
        Err(refusal) => refusal.into_answer(0),
    }
}

async fn show_client_side_id(
    State(account): Shared,
    Path((project, environment)): Path<(String, String)>,
) -> Response {
    let home = Target { project, environment };
    let id = account.ensure_known(&home).map(|()| account.environments().client_side_id(&home));
    answer(id.map(|id| json!({"client_side_id": id})))
}

fn answer(found: Result<Value, Refusal>) -> Response {
    match found {
        Ok(value) => Json(value).into_response(),
        Err(refusal) => refusal.into_answer(0),
    }
}

fn unwritable(error: &serde_json::Error) -> Refusal {
    Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string())
}
