//! `POST /api/v2/segment-targets/{integration}`: what partner integrations call to sync a cohort.
//!
//! The first call for a cohort creates its segment, under the key that the integration framework's
//! own test server makes: `{integration}-{cohort}`. Later calls leave name and description alone.
//! Undocumented and chosen here: an environment ID that leads nowhere is a 404, a context kind other
//! than the segment's a 409.
//!
//! Not here: how each integration words its body (`partner_body`).

use std::sync::Arc;

use axum::extract::{ConnectInfo, Path, Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;

use super::rest::{Arrival, Call};
use crate::sandbox::account::Account;
use crate::sandbox::line::Line;
use crate::sandbox::operation::{Operation, Place};
use crate::sandbox::partner_body::{self, CohortSync, PartnerBodyError};
use crate::sandbox::reception::Granted;
use crate::sandbox::refusal::Refusal;
use crate::sandbox::segments::{Amendment, Details, Draft, Kind, List, Move, Name, Segment};

/// As much of any integration's body as tells where it belongs.
#[derive(Deserialize)]
struct Addressed {
    #[serde(rename = "environmentId", alias = "environment_id")]
    environment_id: String,
}

pub(super) async fn handle(
    State(account): State<Arc<Account>>,
    ConnectInfo(line): ConnectInfo<Line>,
    Path(integration): Path<String>,
    request: Request,
) -> Response {
    let arrival = Arrival::read(&account, request).await;
    let asked = (Operation::SegmentTargets, place_of(&account, arrival.body()));
    arrival
        .serve(account, line, asked, move |account, call| synced(account, &integration, call))
        .await
}

/// Finds the environment early, so that fault rules can name it.
fn place_of(account: &Account, body: Option<&[u8]>) -> Place {
    let addressed = body.and_then(|body| serde_json::from_slice::<Addressed>(body).ok());
    let environments = account.environments();
    let home =
        addressed.and_then(|it| environments.by_client_side_id(&it.environment_id).ok().cloned());
    home.as_ref().map(Place::of_target).unwrap_or_default()
}

fn synced(account: &Account, integration: &str, call: Call) -> Result<Granted, Refusal> {
    let occasion = call.occasion;
    let sync = partner_body::read(integration, &call.bytes()?).map_err(Refusal::from)?;
    let home = account.environments().by_client_side_id(&sync.environment_id)?.clone();
    account.segment_rules().ensure_few(sync.keys.len())?;
    let key = format!("{integration}-{}", sync.cohort.id);

    let mut segments = account.segments();
    let amendment = Amendment::of_moves(moves(&sync));
    let notes = amendment.notes();
    let receipt = if let Some(segment) = segments.find(&home, &key) {
        ensure_own(segment, integration, &sync)?;
        segments.amend(&home, &key, amendment, occasion)?
    } else {
        segments.create(&home, draft(key, integration, sync), amendment, occasion)?
    };
    drop(segments);
    Ok(Granted::empty(StatusCode::NO_CONTENT).with_receipt(receipt).with_notes(notes))
}

fn draft(key: String, integration: &str, sync: CohortSync) -> Draft {
    let kind = Kind::Synced {
        context_kind: sync.context_kind.as_str().into(),
        integration: integration.to_owned(),
        url: sync.cohort.url,
    };
    let name = sync.cohort.name.filter(|name| !name.is_empty()).unwrap_or(sync.cohort.id);
    Draft { key, kind, details: Details { name, ..Details::default() } }
}

/// # Errors
/// 409 if the segment is somebody else's, or of another context kind.
fn ensure_own(segment: &Segment, integration: &str, sync: &CohortSync) -> Result<(), Refusal> {
    let conflict = |message| Err(Refusal::new(StatusCode::CONFLICT, message));
    match &segment.kind {
        Kind::Synced { integration: owner, context_kind, .. } if owner == integration => {
            if **context_kind == *sync.context_kind {
                return Ok(());
            }
            conflict(format!("{} holds contexts of kind {context_kind}", segment.key))
        }
        Kind::Synced { .. } | Kind::Standard | Kind::Big { .. } => {
            conflict(format!("{} exists and is not synced by {integration}", segment.key))
        }
    }
}

fn moves(sync: &CohortSync) -> Vec<Move> {
    let context_kind: Name = sync.context_kind.as_str().into();
    let moves = sync.keys.iter().map(|(verb, key)| Move {
        verb: *verb,
        list: List::Included,
        context_kind: context_kind.clone(),
        key: key.as_str().into(),
    });
    moves.collect()
}

impl From<PartnerBodyError> for Refusal {
    fn from(error: PartnerBodyError) -> Self {
        let message = error.to_string();
        match error {
            PartnerBodyError::UnknownIntegration(_) => Self::not_found(message),
            PartnerBodyError::Unreadable(_)
            | PartnerBodyError::NoCohort
            | PartnerBodyError::SeveralCohorts
            | PartnerBodyError::NoLists(_)
            | PartnerBodyError::Empty(_) => Self::bad_request(message),
        }
    }
}
