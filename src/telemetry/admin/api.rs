//! What the admin address tells as JSON, and what it does when asked.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::{Value, json};
use tokio::sync::oneshot;

use super::View;
use super::series::{self, Series};
use crate::telemetry::board::{LetterView, PartitionView, Reloaded, RequestView, RouteView};
use crate::telemetry::clock;
use crate::telemetry::health::HealthReport;
use crate::telemetry::logging::{self, Notice};

/// Everything the status page shows.
#[derive(Debug, Serialize)]
struct Status {
    version: &'static str,
    now_ms: i64,
    started_ms: i64,
    generation: u64,
    file: Option<String>,
    needs_token: bool,
    live: HealthReport,
    ready: HealthReport,
    reloaded: Option<Reloaded>,
    routes: Vec<RouteStatus>,
    partitions: Vec<PartitionView>,
    requests: Vec<RequestView>,
    requests_in_flight: usize,
    notices: Vec<Notice>,
    dead_letters: Vec<LetterView>,
    metrics: Vec<Series>,
}

#[derive(Debug, Serialize)]
struct RouteStatus {
    #[serde(flatten)]
    route: RouteView,
    paused: bool,
}

pub(super) async fn status(State(view): State<View>) -> Response {
    let text = match view.metrics.render() {
        Ok(text) => text,
        Err(error) => {
            return (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response();
        }
    };
    let (configuration, paused) = (view.board.configuration(), view.board.paused());
    let (requests, requests_in_flight) = view.board.requests();
    let of = |route: RouteView| RouteStatus { paused: paused.contains(&route.name), route };
    Json(Status {
        version: env!("CARGO_PKG_VERSION"),
        now_ms: clock::now_ms(),
        started_ms: view.started_ms,
        generation: configuration.generation,
        file: configuration.file,
        needs_token: view.access.needs_token(),
        live: view.health.live(),
        ready: view.health.ready(),
        reloaded: view.board.reloaded(),
        routes: configuration.routes.into_iter().map(of).collect(),
        partitions: view.board.partitions(),
        requests,
        requests_in_flight,
        notices: logging::recent(),
        dead_letters: view.board.letters(),
        metrics: series::read(&String::from_utf8_lossy(&text)),
    })
    .into_response()
}

pub(super) async fn health(State(view): State<View>) -> Response {
    let (live, ready) = (view.health.live(), view.health.ready());
    let status = if live.ok && ready.ok { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let paused = view.board.paused();
    (status, Json(json!({ "live": live, "ready": ready, "paused_routes": paused }))).into_response()
}

/// What waits longest: by partition, and the requests that are being made.
pub(super) async fn in_flight(State(view): State<View>) -> Json<Value> {
    let mut partitions = view.board.partitions();
    partitions.retain(|partition| partition.records > 0);
    partitions.sort_by_key(|partition| std::cmp::Reverse(partition.waits_seconds));
    let (requests, all) = view.board.requests();
    Json(json!({ "partitions": partitions, "requests": requests, "requests_in_flight": all }))
}

/// Every key of the configuration with its value, secrets aside.
pub(super) async fn config(State(view): State<View>) -> Json<BTreeMap<String, String>> {
    Json(view.board.configuration().effective)
}

// === what changes something ===

pub(super) async fn pause(view: State<View>, headers: HeaderMap, route: Path<String>) -> Response {
    switch(&view, &headers, &route, true)
}

pub(super) async fn resume(view: State<View>, headers: HeaderMap, route: Path<String>) -> Response {
    switch(&view, &headers, &route, false)
}

fn switch(view: &View, headers: &HeaderMap, route: &str, to_pause: bool) -> Response {
    if let Err(denied) = view.access.check(headers) {
        return denied.into_response();
    }
    let known = view.board.configuration().routes;
    // One that a reload took away can be resumed still.
    if !known.iter().any(|it| it.name == route) && !view.board.paused().contains(route) {
        let names: Vec<&str> = known.iter().map(|it| it.name.as_str()).collect();
        let why = format!("there is no route `{route}`; the routes are {}\n", names.join(", "));
        return (StatusCode::NOT_FOUND, why).into_response();
    }
    let changed = if to_pause { view.board.pause(route) } else { view.board.resume(route) };
    if changed && to_pause {
        tracing::warn!(route, "a person has paused the route; its topics wait in kafka");
    } else if changed {
        tracing::info!(route, "a person has resumed the route");
    }
    Json(json!({ "route": route, "paused": to_pause, "changed": changed })).into_response()
}

pub(super) async fn log_level(
    State(view): State<View>,
    headers: HeaderMap,
    filter: String,
) -> Response {
    if let Err(denied) = view.access.check(&headers) {
        return denied.into_response();
    }
    match logging::set_filter(filter.trim()) {
        Ok(()) => {
            tracing::info!(filter = filter.trim(), "the log level was changed");
            Json(json!({ "level": filter.trim() })).into_response()
        }
        Err(error) => (StatusCode::BAD_REQUEST, format!("{error}\n")).into_response(),
    }
}

pub(super) async fn reload(State(view): State<View>, headers: HeaderMap) -> Response {
    if let Err(denied) = view.access.check(&headers) {
        return denied.into_response();
    }
    let (answer, told) = oneshot::channel();
    let asked = match &view.reloads {
        Some(reloads) => reloads.send(answer).await.is_ok(),
        None => false,
    };
    // Dropped unanswered when the service ends meanwhile.
    let outcome = if asked { told.await.ok() } else { None };
    match outcome {
        Some(Ok(message)) => Json(json!({ "reloaded": true, "message": message })).into_response(),
        Some(Err(message)) => (
            StatusCode::UNPROCESSABLE_ENTITY,
            Json(json!({ "reloaded": false, "message": message })),
        )
            .into_response(),
        None => {
            let why = "the service is not ready for a reload: it starts, ends, or has no file\n";
            (StatusCode::SERVICE_UNAVAILABLE, why).into_response()
        }
    }
}
