//! `/api/v2/metrics/...`: define, read, change and delete metrics.
//!
//! Not here: what a metric may look like (`metrics`).

use std::cmp::Ordering;
use std::sync::Arc;

use axum::Router;
use axum::extract::{ConnectInfo, Path, Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::get;
use serde_json::{Map, Value};

use super::rest::{Arrival, Call};
use crate::sandbox::account::Account;
use crate::sandbox::json_patch;
use crate::sandbox::line::Line;
use crate::sandbox::metrics::Metric;
use crate::sandbox::operation::{Operation, Place};
use crate::sandbox::page::ListQuery;
use crate::sandbox::reception::Granted;
use crate::sandbox::refusal::Refusal;

/// The largest page, as documented.
const LARGEST_PAGE: usize = 50;

type Shared = State<Arc<Account>>;

/// Builds the routes below `/api/v2/metrics`. They are not nested: a nested handler sees, and the
/// journal would tell, only the end of the path.
pub(super) fn router() -> Router<Arc<Account>> {
    Router::new()
        .route("/api/v2/metrics/{project}", get(list).post(create))
        .route("/api/v2/metrics/{project}/{key}", get(show).patch(update).delete(delete))
}

async fn list(
    State(account): Shared,
    ConnectInfo(line): ConnectInfo<Line>,
    Path(project): Path<String>,
    request: Request,
) -> Response {
    let asked = (Operation::MetricList, Place::of_project(&project));
    let arrival = Arrival::read(&account, request).await;
    arrival.serve(account, line, asked, move |account, call| listed(account, &project, &call)).await
}

async fn create(
    State(account): Shared,
    ConnectInfo(line): ConnectInfo<Line>,
    Path(project): Path<String>,
    request: Request,
) -> Response {
    let asked = (Operation::MetricCreate, Place::of_project(&project));
    let arrival = Arrival::read(&account, request).await;
    arrival.serve(account, line, asked, move |account, call| created(account, &project, call)).await
}

async fn show(
    State(account): Shared,
    ConnectInfo(line): ConnectInfo<Line>,
    Path((project, key)): Path<(String, String)>,
    request: Request,
) -> Response {
    let asked = (Operation::MetricGet, Place::of_project(&project).with_key(&key));
    let arrival = Arrival::read(&account, request).await;
    arrival
        .serve(account, line, asked, move |account, call| {
            account.environments().ensure_project_known(&project)?;
            let answer = account.metrics().get(&project, &key)?.answer(&project);
            Granted::json(StatusCode::OK, &call.rights.tell_of_metric(answer))
        })
        .await
}

async fn update(
    State(account): Shared,
    ConnectInfo(line): ConnectInfo<Line>,
    Path((project, key)): Path<(String, String)>,
    request: Request,
) -> Response {
    let asked = (Operation::MetricUpdate, Place::of_project(&project).with_key(&key));
    let arrival = Arrival::read(&account, request).await;
    arrival
        .serve(account, line, asked, move |account, call| updated(account, &project, &key, call))
        .await
}

async fn delete(
    State(account): Shared,
    ConnectInfo(line): ConnectInfo<Line>,
    Path((project, key)): Path<(String, String)>,
    request: Request,
) -> Response {
    let asked = (Operation::MetricDelete, Place::of_project(&project).with_key(&key));
    let arrival = Arrival::read(&account, request).await;
    arrival
        .serve(account, line, asked, move |account, call| {
            account.environments().ensure_project_known(&project)?;
            let receipt = account.metrics().delete(&project, &key, call.occasion)?;
            Ok(Granted::empty(StatusCode::NO_CONTENT).with_receipt(receipt))
        })
        .await
}

// === the work ===

fn listed(account: &Account, project: &str, call: &Call) -> Result<Granted, Refusal> {
    account.environments().ensure_project_known(project)?;
    let query: ListQuery = call.query()?;
    query.ensure_playable(Some(LARGEST_PAGE))?;
    let answer = {
        let metrics = account.metrics();
        let mut all: Vec<_> = metrics.of_project(project).collect();
        let order = order_of(query.sort.as_deref().unwrap_or("createdAt"))?;
        all.sort_by(|one, other| order(one, other));
        query.answer(call.path(), &all, |metric| call.rights.tell_of_metric(metric.answer(project)))
    };
    Granted::json(StatusCode::OK, &answer)
}

fn order_of(sort: &str) -> Result<impl Fn(&Metric, &Metric) -> Ordering + use<>, Refusal> {
    let (field, descending) = match sort.strip_prefix('-') {
        Some(field) => (field, true),
        None => (sort, false),
    };
    let by_name = match field {
        "name" => true,
        "createdAt" => false,
        _ => return Err(Refusal::bad_request("`sort` is createdAt or name, with - descending")),
    };
    Ok(move |one: &Metric, other: &Metric| {
        let order = if by_name {
            one.name().cmp(other.name())
        } else {
            one.created_at_ms().cmp(&other.created_at_ms())
        };
        if descending { order.reverse() } else { order }
    })
}

fn created(account: &Account, project: &str, call: Call) -> Result<Granted, Refusal> {
    account.environments().ensure_project_known(project)?;
    let occasion = call.occasion;
    let fields: Map<String, Value> = call.json()?;
    let written = account.metrics().create(project, fields, occasion)?;
    Ok(Granted::json(StatusCode::CREATED, &written.answer)?.with_receipt(written.receipt))
}

fn updated(account: &Account, project: &str, key: &str, call: Call) -> Result<Granted, Refusal> {
    account.environments().ensure_project_known(project)?;
    let occasion = call.occasion;
    let patch = json_patch::read(call.json()?)?;
    let written = account.metrics().patch(project, key, &patch, occasion)?;
    Ok(Granted::json(StatusCode::OK, &written.answer)?.with_receipt(written.receipt))
}
