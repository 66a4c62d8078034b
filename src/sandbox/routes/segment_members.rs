//! `/api/v2/segments/.../{key}/contexts` and `/users`: who is in a big segment.
//!
//! Three things are undocumented and chosen here. A key in `add` and `remove` of one list is removed
//! first, so it ends up on the list, and the journal notes it. A key that would be on both lists is
//! refused, as it is by the semantic patch. Synced segments are written to, and the journal notes it:
//! the reference says the operation covers them, the product pages say it does not.
//!
//! Not here: who is in a standard segment (`segments`).

use std::sync::Arc;

use axum::Router;
use axum::extract::{ConnectInfo, Path, Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::{get, post};
use serde::Deserialize;
use serde_json::json;

use super::rest::{Arrival, Call, object};
use crate::sandbox::account::Account;
use crate::sandbox::journal::Note;
use crate::sandbox::line::Line;
use crate::sandbox::operation::{Operation, Place, Target};
use crate::sandbox::reception::Granted;
use crate::sandbox::refusal::Refusal;
use crate::sandbox::segments::{Amendment, List, Move, Name, Segment, USER, Verb, removals_first};

/// `SegmentUserState`.
#[derive(Deserialize)]
struct MemberBody {
    #[serde(default, deserialize_with = "object")]
    included: ListBody,
    #[serde(default, deserialize_with = "object")]
    excluded: ListBody,
}

#[derive(Default, Deserialize)]
struct ListBody {
    #[serde(default)]
    add: Vec<String>,
    #[serde(default)]
    remove: Vec<String>,
}

type Shared = State<Arc<Account>>;

/// Builds the routes below `/api/v2/segments` that are about members.
pub(super) fn router() -> Router<Arc<Account>> {
    let segment = "/api/v2/segments/{project}/{environment}/{key}";
    Router::new()
        .route(&format!("{segment}/contexts"), post(write_contexts))
        .route(&format!("{segment}/users"), post(write_users))
        .route(&format!("{segment}/contexts/{{member}}"), get(show_context))
        .route(&format!("{segment}/users/{{member}}"), get(show_user))
}

async fn write_contexts(
    State(account): Shared,
    line: ConnectInfo<Line>,
    Path(path): Path<(String, String, String)>,
    request: Request,
) -> Response {
    write(account, line, path, request, Operation::SegmentContexts).await
}

async fn write_users(
    State(account): Shared,
    line: ConnectInfo<Line>,
    Path(path): Path<(String, String, String)>,
    request: Request,
) -> Response {
    write(account, line, path, request, Operation::SegmentUsers).await
}

async fn show_context(
    State(account): Shared,
    line: ConnectInfo<Line>,
    Path(path): Path<(String, String, String, String)>,
    request: Request,
) -> Response {
    show(account, line, path, request, Operation::SegmentContextGet).await
}

async fn show_user(
    State(account): Shared,
    line: ConnectInfo<Line>,
    Path(path): Path<(String, String, String, String)>,
    request: Request,
) -> Response {
    show(account, line, path, request, Operation::SegmentUserGet).await
}

async fn write(
    account: Arc<Account>,
    ConnectInfo(line): ConnectInfo<Line>,
    (project, environment, key): (String, String, String),
    request: Request,
    operation: Operation,
) -> Response {
    let home = Target { project, environment };
    let asked = (operation, Place::of_target(&home).with_key(&key));
    let arrival = Arrival::read(&account, request).await;
    arrival
        .serve(account, line, asked, move |account, call| written(account, &home, &key, call))
        .await
}

async fn show(
    account: Arc<Account>,
    ConnectInfo(line): ConnectInfo<Line>,
    (project, environment, key, member): (String, String, String, String),
    request: Request,
    operation: Operation,
) -> Response {
    let home = Target { project, environment };
    let asked = (operation, Place::of_target(&home).with_key(&key));
    let arrival = Arrival::read(&account, request).await;
    arrival
        .serve(account, line, asked, move |account, _| {
            account.ensure_known(&home)?;
            let segments = account.segments();
            let segment = segments.get(&home, &key)?;
            let kind = served_kind(segment, operation)?;
            let on = |list| segment.members.contains(list, kind, &member);
            let (included, excluded) = (on(List::Included), on(List::Excluded));
            let answer = json!({"userKey": member, "included": included, "excluded": excluded});
            Granted::json(StatusCode::OK, &answer)
        })
        .await
}

// === the work ===

fn written(account: &Account, home: &Target, key: &str, call: Call) -> Result<Granted, Refusal> {
    account.ensure_known(home)?;
    let occasion = call.occasion;
    let body: MemberBody = call.object()?;
    let MemberBody { included, excluded } = &body;
    let lists = [&included.add, &included.remove, &excluded.add, &excluded.remove];
    let (few, approved) = {
        let rules = account.segment_rules();
        let keys = lists.iter().map(|list| list.len()).sum();
        (rules.ensure_few(keys), rules.ensure_unapproved(home))
    };

    let mut segments = account.segments();
    let segment = segments.get(home, key)?;
    let context_kind = served_kind(segment, occasion.operation)?.clone();
    few?;
    approved?;
    let synced = segment.kind.is_synced();
    let amendment = Amendment::of_moves(moves(body, &context_kind));
    let mut notes = amendment.notes();
    if synced {
        notes.push(Note::SyncedSegmentWritten);
    }
    let receipt = segments.amend(home, key, amendment, occasion)?;
    drop(segments);
    Ok(Granted::empty(StatusCode::NO_CONTENT).with_receipt(receipt).with_notes(notes))
}

fn moves(body: MemberBody, context_kind: &Name) -> Vec<Move> {
    let MemberBody { included, excluded } = body;
    let moves = [
        (Verb::Remove, List::Included, included.remove),
        (Verb::Remove, List::Excluded, excluded.remove),
        (Verb::Add, List::Included, included.add),
        (Verb::Add, List::Excluded, excluded.add),
    ];
    let moves = moves.into_iter().flat_map(|(verb, list, keys)| {
        keys.into_iter().map(move |key| Move {
            verb,
            list,
            context_kind: context_kind.clone(),
            key: key.as_str().into(),
        })
    });
    removals_first(moves.collect())
}

/// Returns the context kind of a segment that the operation serves.
///
/// # Errors
/// 400 for a standard segment, and for `/users` on a segment of another context kind.
fn served_kind(segment: &Segment, operation: Operation) -> Result<&Name, Refusal> {
    let users_only = matches!(operation, Operation::SegmentUsers | Operation::SegmentUserGet);
    match segment.kind.context_kind() {
        None => Err(Refusal::bad_request(format!(
            "{} is a standard segment; this operation is for big segments",
            segment.key
        ))),
        Some(kind) if users_only && **kind != *USER => Err(Refusal::bad_request(format!(
            "{} holds contexts of kind {kind}; use /contexts",
            segment.key
        ))),
        Some(kind) => Ok(kind),
    }
}
