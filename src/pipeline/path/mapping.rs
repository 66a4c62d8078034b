//! What a record becomes: decoded once per format, picked once, mapped by every route of its topic.
//!
//! # Invariants
//! - P1: a record is mapped as a whole: what one route refuses leaves nothing of the others (W2).
//!
//! Not here: what happens to what was made (`partition`).

use std::sync::Arc;

use super::checks::{Checked, Checks};
use super::counters::PathCounters;
use super::partition::PartitionPath;
use super::scratch::{GroupMapped, Halt, Mapped, Refused, Scratch, refusal};
use crate::model::outcome::{FilterReason, RefusalReason, Stage};
use crate::model::record::Record;
use crate::model::routes::RouteSet;
use crate::pipeline::batch::OpenBatch;
use crate::pipeline::check::Made;
use crate::pipeline::decode::{DecodeError, Decoded, check, decode};
use crate::pipeline::route::{FormatGroup, RouteError, Routed};
use crate::pipeline::settings::Unmatched;

impl PartitionPath {
    /// Decodes and routes a record, writing its events to the open batches and its other operations
    /// to the scratch pad.
    ///
    /// # Errors
    /// Why the record is refused as a whole; nothing of it is left anywhere then (W2).
    pub(super) fn map(
        &mut self,
        record: &Record<'_>,
        scratch: &mut Scratch,
        counters: &PathCounters,
        checks: &mut Checks,
        unmatched: Unmatched,
    ) -> Result<Mapped, Refused> {
        scratch.operations.clear();
        scratch.places.clear();
        scratch.made.clear();
        scratch.filtered.clear();
        scratch.mistaken.clear();
        let mapped = self.map_all(record, scratch, checks, unmatched);
        match &mapped {
            Ok(_) => {
                scratch.made.iter().for_each(|id| counters.operation(*id));
                scratch.filtered.iter().for_each(|(id, why)| counters.filtered(*id, *why));
                scratch.mistaken.iter().for_each(|(id, why)| checks.count(*id, *why));
                for (operation, place) in scratch.operations.iter().zip(&scratch.places) {
                    if let Some(route) = self.routes.ids().get(*place) {
                        counters.members(*route, operation);
                    }
                }
            }
            Err(_) => self.open.iter_mut().for_each(OpenBatch::discard),
        }
        match mapped {
            Ok(mapped) => Ok(mapped),
            Err(Halt::Wait) => Ok(Mapped::Waits),
            Err(Halt::Refused(refused)) => Err(refused),
        }
    }

    fn map_all(
        &mut self,
        record: &Record<'_>,
        scratch: &mut Scratch,
        checks: &mut Checks,
        unmatched: Unmatched,
    ) -> Result<Mapped, Halt> {
        let refuse = |routes, reason, detail: &str| Refused {
            refusal: refusal(Stage::Route, None, reason, detail),
            routes,
        };
        let routes = Arc::clone(&self.routes);
        let owed = routes.owed(record).map_err(|e| refuse(RouteSet::ALL, e.reason, &e.detail))?;
        // A record that some routes have taken before is no surprise when the others do not.
        let mut only_unmatched = owed == RouteSet::ALL;
        for group in routes.groups() {
            if group.places().within(owed).is_empty() {
                let taken = group.routes.iter().map(|route| (route.id, FilterReason::TakenBefore));
                scratch.filtered.extend(taken);
                continue;
            }
            let GroupMapped { rowless } = self.map_group(group, owed, record, scratch, checks)?;
            only_unmatched &= !rowless;
        }
        let oversized = |open: &&OpenBatch| open.has_unsealed() && open.is_oversized();
        if let Some(open) = self.open.iter().find(oversized) {
            let detail = "its events are larger than `batch.max_bytes`";
            let routes = open.unsealed_routes();
            return Err(refuse(routes, RefusalReason::TooLarge, detail).into());
        }
        if self.open.iter().any(OpenBatch::has_unsealed) || !scratch.operations.is_empty() {
            return Ok(Mapped::Operations);
        }
        if only_unmatched && unmatched == Unmatched::DeadLetter {
            let detail = "no route's `when` holds";
            return Err(refuse(RouteSet::ALL, RefusalReason::Unmatched, detail).into());
        }
        Ok(Mapped::Filtered)
    }

    fn map_group(
        &mut self,
        group: &FormatGroup,
        owed: RouteSet,
        record: &Record<'_>,
        scratch: &mut Scratch,
        checks: &mut Checks,
    ) -> Result<GroupMapped, Halt> {
        let places = group.places().within(owed);
        let change = match decode(group.reading, group.wanted, record, &mut scratch.room) {
            Ok(Decoded::Change(change)) => change,
            Ok(Decoded::Filtered(reason)) => {
                scratch.filtered.extend(group.routes.iter().map(|route| (route.id, reason)));
                return Ok(GroupMapped { rowless: true });
            }
            Err(error) => return Err(undecoded(&error, places).into()),
        };
        if group.declines(&change) {
            for route in &group.routes {
                if let Some(reason) = route.declines(&change) {
                    scratch.filtered.push((route.id, reason));
                }
            }
            return Ok(GroupMapped { rowless: true });
        }
        let on = |name: Option<&str>, routes, e: RouteError| Refused {
            refusal: refusal(Stage::Route, name, e.reason, &e.detail),
            routes,
        };
        group.pick(&change, &mut scratch.picks).map_err(|error| match check(&change) {
            Err(error) => undecoded(&error, places),
            Ok(()) => on(None, places, error),
        })?;
        for route in &group.routes {
            if !owed.has(route.place) {
                scratch.filtered.push((route.id, FilterReason::TakenBefore));
                continue;
            }
            // Only metric events are written to a body; where a topic has none for the target, the
            // route is of another kind.
            let mut open = self.open.iter_mut().find(|open| open.target() == route.target);
            let body = open.as_mut().map_or(&mut scratch.no_body, |open| open.body());
            let (from, first) = (body.len(), scratch.operations.len());
            let routed = route.apply(&change, &scratch.picks, body, &mut scratch.operations);
            // The comma before an event belongs to the batch.
            let event = body.get(from + 1..).unwrap_or_default();
            let checked = match routed {
                Ok(Routed::MetricEvent) => checks.judge(route.id, Made::Event(event)),
                Ok(Routed::Operations) => {
                    let made = scratch.operations.get(first..).unwrap_or_default();
                    checks.judge(route.id, Made::Operations(made))
                }
                Ok(Routed::Filtered(_)) | Err(_) => Checked::Pass,
            };
            if let (Ok(Routed::MetricEvent), Some(open)) = (&routed, open) {
                open.count_event(route.place);
            }
            scratch.places.resize(scratch.operations.len(), route.place);
            match routed {
                Ok(Routed::MetricEvent | Routed::Operations) => {
                    let mistake = checked.verdict(route, checks)?;
                    scratch.mistaken.extend(mistake.map(|reason| (route.id, reason)));
                    scratch.made.push(route.id);
                }
                Ok(Routed::Filtered(reason)) => scratch.filtered.push((route.id, reason)),
                Err(error) => return Err(on(Some(&route.name), route.set(), error).into()),
            }
        }
        Ok(GroupMapped { rowless: change.tombstone })
    }
}

fn undecoded(error: &DecodeError, routes: RouteSet) -> Refused {
    Refused { refusal: refusal(Stage::Decode, None, error.reason, &error.detail), routes }
}
