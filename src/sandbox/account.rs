//! Holds what stands in for a LaunchDarkly account: who may enter, what is known, what happened.
//!
//! Each part has its own lock, held for a decision and never across an await. A request takes them
//! one after the other, never two at a time.
//!
//! Not here: the order in which a request meets the parts (`reception`).

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use axum::http::{HeaderMap, StatusCode, header};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::clock::epoch_ms;
use super::environments::Environments;
use super::faults::Faults;
use super::history::Receipt;
use super::journal::Journal;
use super::limits::Limits;
use super::metrics::Metrics;
use super::operation::{Occasion, Operation, Target};
use super::refusal::Refusal;
use super::rights::Rights;
use super::segment_rules::SegmentRules;
use super::segments::Segments;
use super::settings::Settings;

/// The state of one sandbox. Has no `Debug`: it knows the tokens.
pub(super) struct Account {
    tokens: Mutex<HashMap<String, Rights>>,
    environments: Mutex<Environments>,
    metrics: Mutex<Metrics>,
    segments: Mutex<Segments>,
    segment_rules: Mutex<SegmentRules>,
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
        // Event marks hold 32-bit offsets into a body.
        let addressable = usize::try_from(u32::MAX).unwrap_or(usize::MAX);
        let environments = Environments::new(settings.environments, settings.client_side_ids);
        let mut metrics = Metrics::new(settings.journal);
        define(&mut metrics, &settings.event_metrics);
        Self {
            tokens: Mutex::new(
                settings.tokens.into_iter().map(|token| (token, Rights::All)).collect(),
            ),
            environments: Mutex::new(environments),
            metrics: Mutex::new(metrics),
            segments: Mutex::new(Segments::new(settings.journal)),
            segment_rules: Mutex::new(settings.segment_rules),
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

    pub(super) fn environments(&self) -> MutexGuard<'_, Environments> {
        hold(&self.environments)
    }

    pub(super) fn metrics(&self) -> MutexGuard<'_, Metrics> {
        hold(&self.metrics)
    }

    pub(super) fn segments(&self) -> MutexGuard<'_, Segments> {
        hold(&self.segments)
    }

    pub(super) fn segment_rules(&self) -> MutexGuard<'_, SegmentRules> {
        hold(&self.segment_rules)
    }

    /// Tells a change the number of its request.
    pub(super) fn stamp(&self, receipt: &Receipt, request: u64) {
        match receipt {
            Receipt::Metric { home, seq } => self.metrics().stamp(home, *seq, request),
            Receipt::Segment { home, seq } => self.segments().stamp(home, *seq, request),
        }
    }

    pub(super) fn replace_tokens(&self, tokens: Vec<(String, Rights)>) {
        *hold(&self.tokens) = tokens.into_iter().collect();
    }

    /// Returns the request's token and what it may do.
    ///
    /// # Errors
    /// 401 unless the header is exactly one of the accepted tokens.
    pub(super) fn authorize<'a>(
        &self,
        headers: &'a HeaderMap,
    ) -> Result<(&'a str, Rights), Refusal> {
        let refuse = |message| Err(Refusal::new(StatusCode::UNAUTHORIZED, message));
        let token = headers.get(header::AUTHORIZATION).map(|value| value.to_str());
        if let Some(Ok(token)) = token
            && let Some(rights) = hold(&self.tokens).get(token)
        {
            return Ok((token, rights.clone()));
        }
        match token {
            None => refuse("the Authorization header is missing; it holds the access token"),
            Some(Ok(token)) if token.starts_with("Bearer ") => {
                refuse("send the access token itself in Authorization, without \"Bearer\"")
            }
            Some(_) => refuse("the access token is not known, or may not do this"),
        }
    }

    /// # Errors
    /// 404 for a project or environment that is not known.
    pub(super) fn ensure_known(&self, target: &Target) -> Result<(), Refusal> {
        self.environments().ensure_known(target)
    }
}

/// Defines metrics as a person would have done before.
fn define(metrics: &mut Metrics, event_keys: &[(String, String)]) {
    let occasion = Occasion { operation: Operation::MetricCreate, at_ms: epoch_ms() };
    for (project, event_key) in event_keys {
        let fields = [
            ("key", json!(event_key)),
            ("kind", json!("custom")),
            ("eventKey", json!(event_key)),
            ("isNumeric", json!(true)),
            ("successCriteria", json!("HigherThanBaseline")),
        ];
        let fields = fields.map(|(name, value)| (name.to_owned(), value)).into_iter().collect();
        if let Err(refusal) = metrics.create(project, fields, occasion) {
            tracing::warn!(project, event_key, ?refusal, "a metric cannot be made");
        }
    }
}

/// Takes a lock whose holders never leave the value half changed, so poison means nothing.
fn hold<T>(lock: &Mutex<T>) -> MutexGuard<'_, T> {
    lock.lock().unwrap_or_else(PoisonError::into_inner)
}
