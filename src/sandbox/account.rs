//! Holds what stands in for a LaunchDarkly account: who may enter, what is known, what happened.
//!
//! Each part has its own lock, held for a decision and never across an await. A request takes them
//! one after the other, never two at a time.
//!
//! Not here: the order in which a request meets the parts (`reception`).

use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use axum::http::{HeaderMap, StatusCode, header};
use tokio_util::sync::CancellationToken;

use super::faults::Faults;
use super::journal::Journal;
use super::limits::Limits;
use super::operation::Target;
use super::refusal::Refusal;
use super::settings::Settings;

/// The state of one sandbox. Has no `Debug`: it knows the tokens.
pub(super) struct Account {
    tokens: Mutex<HashSet<String>>,
    environments: Option<HashSet<Target>>,
    max_body_bytes: usize,
    journal: Mutex<Journal>,
    faults: Mutex<Faults>,
    limits: Mutex<Limits>,
    /// Cancelled when the sandbox closes, so that requests kept waiting on purpose let go.
    pub(super) closing: CancellationToken,
}

// === impl Account ===

impl Account {
    pub(super) fn new(settings: Settings) -> Self {
        let known = |pairs: Vec<(String, String)>| {
            pairs
                .into_iter()
                .map(|(project, environment)| Target { project, environment })
                .collect()
        };
        // Event marks hold 32-bit offsets into a body.
        let addressable = usize::try_from(u32::MAX).unwrap_or(usize::MAX);
        Self {
            tokens: Mutex::new(settings.tokens.into_iter().collect()),
            environments: settings.environments.map(known),
            max_body_bytes: settings.max_body_bytes.min(addressable),
            journal: Mutex::new(Journal::new(settings.journal)),
            faults: Mutex::new(Faults::new(settings.fault_seed)),
            limits: Mutex::new(Limits::default()),
            closing: CancellationToken::new(),
        }
    }

    pub(super) fn max_body_bytes(&self) -> usize {
        self.max_body_bytes
    }

    pub(super) fn journal(&self) -> MutexGuard<'_, Journal> {
        hold(&self.journal)
    }

    pub(super) fn faults(&self) -> MutexGuard<'_, Faults> {
        hold(&self.faults)
    }

    pub(super) fn limits(&self) -> MutexGuard<'_, Limits> {
        hold(&self.limits)
    }

    pub(super) fn replace_tokens(&self, tokens: Vec<String>) {
        *hold(&self.tokens) = tokens.into_iter().collect();
    }

    /// Returns the request's token.
    ///
    /// # Errors
    /// 401 unless the header is exactly one of the accepted tokens.
    pub(super) fn authorize<'a>(&self, headers: &'a HeaderMap) -> Result<&'a str, Refusal> {
        let refuse = |message| Err(Refusal::new(StatusCode::UNAUTHORIZED, message));
        let token = headers.get(header::AUTHORIZATION).map(|value| value.to_str());
        match token {
            None => refuse("the Authorization header is missing; it holds the access token"),
            Some(Ok(token)) if hold(&self.tokens).contains(token) => Ok(token),
            Some(Ok(token)) if token.starts_with("Bearer ") => {
                refuse("send the access token itself in Authorization, without \"Bearer\"")
            }
            Some(_) => refuse("the access token is not known, or may not do this"),
        }
    }

    /// # Errors
    /// 404 for a project or environment that is not known.
    pub(super) fn ensure_known(&self, target: &Target) -> Result<(), Refusal> {
        let known = self.environments.as_ref().is_none_or(|known| known.contains(target));
        let Target { project, environment } = target;
        known.then_some(()).ok_or_else(|| {
            Refusal::not_found(format!("project {project} has no environment {environment}"))
        })
    }
}

/// Takes a lock whose holders never leave the value half changed, so poison means nothing.
fn hold<T>(lock: &Mutex<T>) -> MutexGuard<'_, T> {
    lock.lock().unwrap_or_else(PoisonError::into_inner)
}
