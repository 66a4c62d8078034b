//! `/api/v2/segments/...`: create, read, change and delete segments.
//!
//! Not here: the members of big segments (`segment_members`).

use std::cmp::Ordering;
use std::sync::Arc;

use axum::Router;
use axum::extract::{ConnectInfo, Path, Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::get;
use serde::Deserialize;
use serde_json::Value;

use super::rest::{Arrival, Call, Dialect};
use super::segment_members;
use crate::sandbox::account::Account;
use crate::sandbox::identifiers::key_problem;
use crate::sandbox::line::Line;
use crate::sandbox::operation::{Operation, Place, Target};
use crate::sandbox::page::ListQuery;
use crate::sandbox::reception::Granted;
use crate::sandbox::refusal::Refusal;
use crate::sandbox::segments::{
    Amendment, Details, Draft, Kind, Segment, USER, read_document_patch, read_semantic_patch,
};

/// A new segment. Members and rules cannot be given at creation; other fields are ignored.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SegmentBody {
    key: String,
    name: String,
    description: Option<String>,
    tags: Option<Vec<String>>,
    unbounded: Option<bool>,
    unbounded_context_kind: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct UpdateQuery {
    #[serde(default)]
    dry_run: bool,
}

type Shared = State<Arc<Account>>;

/// Builds the routes below `/api/v2/segments`.
pub(super) fn router() -> Router<Arc<Account>> {
    let home = "/api/v2/segments/{project}/{environment}";
    Router::new()
        .route(home, get(list).post(create))
        .route(&format!("{home}/{{key}}"), get(show).patch(update).delete(delete))
        .merge(segment_members::router())
}

async fn list(
    State(account): Shared,
    ConnectInfo(line): ConnectInfo<Line>,
    Path((project, environment)): Path<(String, String)>,
    request: Request,
) -> Response {
    let home = Target { project, environment };
    let asked = (Operation::SegmentList, Place::of_target(&home));
    let arrival = Arrival::read(&account, request).await;
    arrival.serve(account, line, asked, move |account, call| listed(account, &home, &call)).await
}

async fn create(
    State(account): Shared,
    ConnectInfo(line): ConnectInfo<Line>,
    Path((project, environment)): Path<(String, String)>,
    request: Request,
) -> Response {
    let home = Target { project, environment };
    let asked = (Operation::SegmentCreate, Place::of_target(&home));
    let arrival = Arrival::read(&account, request).await;
    arrival.serve(account, line, asked, move |account, call| created(account, &home, call)).await
}

async fn show(
    State(account): Shared,
    ConnectInfo(line): ConnectInfo<Line>,
    Path((project, environment, key)): Path<(String, String, String)>,
    request: Request,
) -> Response {
    let home = Target { project, environment };
    let asked = (Operation::SegmentGet, Place::of_target(&home).with_key(&key));
    let arrival = Arrival::read(&account, request).await;
    arrival
        .serve(account, line, asked, move |account, call| {
            account.ensure_known(&home)?;
            let answer = call.rights.tell_of_segment(answer(account, &home, &key)?);
            Granted::json(StatusCode::OK, &answer)
        })
        .await
}

async fn update(
    State(account): Shared,
    ConnectInfo(line): ConnectInfo<Line>,
    Path((project, environment, key)): Path<(String, String, String)>,
    request: Request,
) -> Response {
    let home = Target { project, environment };
    let asked = (Operation::SegmentUpdate, Place::of_target(&home).with_key(&key));
    let arrival = Arrival::read(&account, request).await;
    arrival
        .serve(account, line, asked, move |account, call| updated(account, &home, &key, call))
        .await
}

async fn delete(
    State(account): Shared,
    ConnectInfo(line): ConnectInfo<Line>,
    Path((project, environment, key)): Path<(String, String, String)>,
    request: Request,
) -> Response {
    let home = Target { project, environment };
    let asked = (Operation::SegmentDelete, Place::of_target(&home).with_key(&key));
    let arrival = Arrival::read(&account, request).await;
    arrival
        .serve(account, line, asked, move |account, call| {
            account.ensure_known(&home)?;
            let receipt = account.segments().delete(&home, &key, call.occasion)?;
            Ok(Granted::empty(StatusCode::NO_CONTENT).with_receipt(receipt))
        })
        .await
}

// === the work ===

fn answer(account: &Account, home: &Target, key: &str) -> Result<Value, Refusal> {
    let environment_id = account.environments().client_side_id(home);
    Ok(account.segments().get(home, key)?.answer(home, &environment_id))
}

fn listed(account: &Account, home: &Target, call: &Call) -> Result<Granted, Refusal> {
    account.ensure_known(home)?;
    let query: ListQuery = call.query()?;
    query.ensure_playable(None)?;
    let sort = query.sort.as_deref().unwrap_or("creationDate");
    let environment_id = account.environments().client_side_id(home);
    let answer = {
        let segments = account.segments();
        let mut all: Vec<_> = segments.of_environment(home).collect();
        // The sort is stable: from the last field to the first.
        for field in sort.split(',').rev() {
            let order = order_of(field)?;
            all.sort_by(|one, other| order(one, other));
        }
        query.answer(call.path(), &all, |segment| {
            call.rights.tell_of_segment(segment.answer(home, &environment_id))
        })
    };
    Granted::json(StatusCode::OK, &answer)
}

fn order_of(field: &str) -> Result<impl Fn(&Segment, &Segment) -> Ordering + use<>, Refusal> {
    let (name, descending) = match field.strip_prefix('-') {
        Some(name) => (name, true),
        None => (field, false),
    };
    let compare: fn(&Segment, &Segment) -> Ordering = match name {
        "name" => |one, other| one.details.name.cmp(&other.details.name),
        "creationDate" => |one, other| one.created_at_ms.cmp(&other.created_at_ms),
        "lastModified" => |one, other| one.modified_at_ms.cmp(&other.modified_at_ms),
        _ => {
            let message = "`sort` holds name, creationDate, lastModified, with - descending";
            return Err(Refusal::bad_request(message));
        }
    };
    Ok(move |one: &Segment, other: &Segment| {
        let order = compare(one, other);
        if descending { order.reverse() } else { order }
    })
}

fn created(account: &Account, home: &Target, call: Call) -> Result<Granted, Refusal> {
    account.ensure_known(home)?;
    let occasion = call.occasion;
    let draft = draft(call.object()?).map_err(Refusal::bad_request)?;
    let key = draft.key.clone();
    let environment_id = account.environments().client_side_id(home);
    let (receipt, answer) = {
        let mut segments = account.segments();
        let receipt = segments.create(home, draft, Amendment::default(), occasion)?;
        (receipt, segments.get(home, &key)?.answer(home, &environment_id))
    };
    Ok(Granted::json(StatusCode::CREATED, &answer)?.with_receipt(receipt))
}

fn draft(body: SegmentBody) -> Result<Draft, String> {
    if let Some(problem) = key_problem(&body.key) {
        return Err(problem.to_owned());
    }
    if body.name.is_empty() {
        return Err("`name` must not be empty".to_owned());
    }
    let context_kind = body.unbounded_context_kind.unwrap_or_else(|| USER.to_owned());
    let kind = match body.unbounded {
        Some(true) => Kind::Big { context_kind: context_kind.as_str().into() },
        Some(false) | None => Kind::Standard,
    };
    let details = Details {
        name: body.name,
        description: body.description,
        tags: body.tags.unwrap_or_default(),
        rules: Vec::new(),
    };
    Ok(Draft { key: body.key, kind, details })
}

fn updated(account: &Account, home: &Target, key: &str, call: Call) -> Result<Granted, Refusal> {
    account.ensure_known(home)?;
    let UpdateQuery { dry_run } = call.query()?;
    let (dialect, occasion) = (call.dialect()?, call.occasion);
    let body: Value = call.json()?;
    let environment_id = account.environments().client_side_id(home);
    let approvals = account.segment_rules().ensure_unapproved(home);

    let mut segments = account.segments();
    let segment = segments.get(home, key)?;
    let amendment = match dialect {
        Dialect::Semantic => read_semantic_patch(body, segment, &home.environment)?,
        Dialect::Document => read_document_patch(body, segment)?,
    };
    if amendment.changes_targeting(segment) {
        approvals?;
    }
    if dry_run {
        let preview = segments.preview(home, key, &amendment, occasion.at_ms)?;
        return Granted::json(StatusCode::OK, &preview.answer(home, &environment_id));
    }
    let notes = amendment.notes();
    let receipt = segments.amend(home, key, amendment, occasion)?;
    let answer = segments.get(home, key)?.answer(home, &environment_id);
    drop(segments);
    Ok(Granted::json(StatusCode::OK, &answer)?.with_receipt(receipt).with_notes(notes))
}
