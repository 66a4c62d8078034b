//! What is refused for its content, by LaunchDarkly or before it is asked, and how the dead letter of
//! its record tells it.
//!
//! Not here: how the record at fault is found (`segments`, `events`), who writes the letter
//! (`dead_letter`).

use std::time::Duration;

use crate::launchdarkly::answer::{ApiError, ErrorClass};
use crate::launchdarkly::definition::validate;
use crate::model::operation::{MetricBatch, MetricIntent};
use crate::model::outcome::{Refusal, RefusalReason, Stage};

/// The content was at fault.
#[derive(Debug, Clone)]
pub(super) struct Refused {
    pub(super) status: Option<u16>,
    pub(super) detail: String,
    pub(super) attempts: u32,
    /// Nobody refused it: there was no answer that settles it in time.
    pub(super) gave_up: bool,
}

impl Refused {
    /// Makes it of an error of the class that says so.
    pub(super) fn of(error: ApiError, attempts: u32) -> Self {
        let ApiError { status, detail, .. } = error;
        Self { status, detail, attempts, gave_up: false }
    }

    /// Makes it of an error that would pass, for which there is no time left.
    pub(super) fn given_up(error: ApiError, attempts: u32, after: Duration) -> Self {
        let ApiError { status, detail, .. } = error;
        let detail =
            format!("no success within `retry_for` ({after:?}); the last answer: {detail}");
        Self { status, detail, attempts, gave_up: true }
    }

    /// Why it ends in the dead-letter topic.
    pub(super) fn reason(&self) -> RefusalReason {
        if self.gave_up { RefusalReason::GaveUp } else { RefusalReason::RefusedByLaunchDarkly }
    }

    /// Why a definition is not even sent.
    pub(super) fn invalid(batch: &MetricBatch) -> Option<Self> {
        let error = match batch.intent {
            MetricIntent::Upsert(_) => validate(&super::definitions::desired(batch)).err()?,
            MetricIntent::Archive => return None,
        };
        let detail = format!("{}: {}", error.field, error.problem);
        Some(Self { status: None, detail, attempts: 0, gave_up: false })
    }

    /// Why a change to a segment's members was refused.
    pub(super) fn reason_of_member(&self) -> RefusalReason {
        match self.status {
            Some(404) if !self.gave_up => RefusalReason::SegmentMissing,
            _ => self.reason(),
        }
    }

    pub(super) fn told(&self, reason: RefusalReason, target: &str) -> Refusal {
        Refusal {
            reason,
            stage: Stage::Deliver,
            route: None,
            detail: format!("target {target}: {}", self.detail),
            status: self.status,
            answer: self.status.map(|_| self.detail.clone()),
            attempts: self.attempts,
        }
    }
}

/// What becomes of a definition that is not even sent.
pub fn of_invalid(batch: &MetricBatch, target: &str) -> Option<Refusal> {
    Some(Refused::invalid(batch)?.told(RefusalReason::InvalidDefinition, target))
}

/// What becomes of a definition whose request cannot be made; `None` when it is tried again.
pub fn of_metric(error: ApiError, target: &str) -> Option<Refusal> {
    Some(at_once(error)?.told(RefusalReason::RefusedByLaunchDarkly, target))
}

/// What becomes of a member whose request cannot be made; `None` when it is tried again.
pub fn of_member(error: ApiError, target: &str) -> Option<Refusal> {
    let refused = at_once(error)?;
    Some(refused.told(refused.reason_of_member(), target))
}

fn at_once(error: ApiError) -> Option<Refused> {
    (error.class == ErrorClass::Refused).then(|| Refused::of(error, 1))
}
