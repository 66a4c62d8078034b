//! What a record becomes while its routes are gone through, and why that may end early.

use super::checks::{Checked, Checks};
use crate::model::operation::Operation;
use crate::model::outcome::{FilterReason, Refusal, RefusalReason, Stage};
use crate::model::routes::RouteSet;
use crate::pipeline::decode::Room;
use crate::pipeline::route::projection::Picks;
use crate::pipeline::route::{Route, RouteId};

/// Reused from record to record.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    pub(super) picks: Picks,
    /// What the record becomes besides metric events.
    pub(super) operations: Vec<Operation>,
    /// The places of the routes that made them.
    pub(super) places: Vec<usize>,
    /// The routes that made something of it.
    pub(super) made: Vec<RouteId>,
    /// The routes that made nothing of it, and why.
    pub(super) filtered: Vec<(RouteId, FilterReason)>,
    /// The routes that made something of it that would not count, and why.
    pub(super) mistaken: Vec<(RouteId, RefusalReason)>,
    pub(super) room: Room,
    /// Stays empty.
    pub(super) no_body: Vec<u8>,
}

/// What a record became.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mapped {
    /// Events in the open batches, operations on the scratch pad, or both.
    Operations,
    Filtered,
    /// Nothing yet: the record has to wait until more is known.
    Waits,
}

/// Why the mapping of a record ends early.
pub(super) enum Halt {
    Refused(Refused),
    Wait,
}

/// A record that cannot be mapped.
pub(super) struct Refused {
    pub(super) refusal: Refusal,
    /// The routes that refuse it, or would have had it.
    pub(super) routes: RouteSet,
}

/// What the routes of one format made of a record.
pub(super) struct GroupMapped {
    /// The record carries no row of its own, so that it surprises nobody when no route maps it.
    pub(super) rowless: bool,
}

impl Checked {
    /// Why a mistake is worth noting, when the record goes on.
    ///
    /// # Errors
    /// Why it does not.
    pub(super) fn verdict(
        self,
        route: &Route,
        checks: &Checks,
    ) -> Result<Option<RefusalReason>, Halt> {
        match self {
            Self::Pass => Ok(None),
            Self::Mistaken(reason) => Ok(Some(reason)),
            Self::Wait => Err(Halt::Wait),
            Self::Refuse(reason, detail) => {
                checks.count(route.id, reason);
                let refusal = refusal(Stage::Check, Some(&route.name), reason, &detail);
                Err(Refused { refusal, routes: RouteSet::of(route.place) }.into())
            }
        }
    }
}

impl From<Refused> for Halt {
    fn from(refused: Refused) -> Self {
        Self::Refused(refused)
    }
}

pub(super) fn refusal(
    stage: Stage,
    route: Option<&str>,
    reason: RefusalReason,
    detail: &str,
) -> Refusal {
    Refusal {
        reason,
        stage,
        route: route.map(str::to_owned),
        detail: detail.to_owned(),
        status: None,
        answer: None,
        attempts: 0,
    }
}
