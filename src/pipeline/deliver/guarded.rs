//! How a lane waits while a guard has halted the routes of what it is to send.
//!
//! # Invariants
//! - H1: what waits is nowhere under way, and what was accepted of its batch is settled first.
//! - H2: what waits holds no seat, so lanes that other routes feed go on.
//! - H3: what waits does not hold up a drain: whoever has its records next sends it. From then on it
//!   stays where it is: of a dead letter that it became now, no commit would tell.

use std::collections::BTreeMap;
use std::future::pending;

use tokio::time::Instant;

use super::courier::{Abandoned, Courier};
use super::seat::Seat;
use crate::model::fence::{Fence, Withheld};
use crate::model::operation::LaneKey;
use crate::model::progress::{Settlement, Slot};
use crate::pipeline::guard::{Guard, Probe};

impl Courier {
    pub(super) fn guard(&self) -> &Guard {
        &self.reports.guard
    }

    /// Waits until records of these routes may be sent. `withheld` are the obligations that wait.
    pub(super) async fn wait_at_guard(
        &self,
        routes: &[usize],
        fences: &[Fence],
        withheld: Vec<Withheld>,
        seat: &mut Seat,
    ) -> Result<Probe<'_>, Abandoned> {
        tracing::debug!(?routes, "a batch waits because its route is halted");
        seat.leave();
        let admitted = async {
            let probe = self.guard().admit(routes).await;
            let kept = Withheld::release(withheld);
            if kept.is_err() {
                drop(probe);
                return pending().await;
            }
            seat.take_again().await;
            probe
        };
        tokio::select! {
            biased;
            () = self.ended(fences) => Err(Abandoned),
            probe = admitted => Ok(probe),
        }
    }

    /// Waits while a route is halted that one of these operations comes from. `all` are the
    /// obligations of the lane's batch, which wait then. Gives a probe if it had to.
    pub(super) async fn admit<'s>(
        &self,
        operations: impl IntoIterator<Item = &'s Slot>,
        all: impl Iterator<Item = &'s Slot>,
        (lane, fences): (&LaneKey, &[Fence]),
        seat: &mut Seat,
    ) -> Result<Option<Probe<'_>>, Abandoned> {
        if !self.guard().is_any_halted() {
            return Ok(None);
        }
        let mut routes: Vec<usize> =
            operations.into_iter().flat_map(|slot| self.routes_of(slot)).collect();
        routes.sort_unstable();
        routes.dedup();
        if !self.guard().is_halted(&routes) {
            return Ok(None);
        }
        self.settle(Settlement::Halted { lane: lane.clone() });
        let withheld = all.map(|slot| slot.fence.withhold(1)).collect();
        self.wait_at_guard(&routes, fences, withheld, seat).await.map(Some)
    }

    /// LaunchDarkly has accepted these operations.
    pub(super) fn note_passed<'s>(&self, slots: impl Iterator<Item = &'s Slot> + Clone) {
        self.sight.delivered(slots.clone());
        let mut counts: BTreeMap<Vec<usize>, u64> = BTreeMap::new();
        for slot in slots {
            *counts.entry(self.routes_of(slot)).or_default() += 1;
        }
        for (routes, records) in counts {
            self.guard().passed(&routes, records, Instant::now());
        }
    }

    /// These operations are refused.
    pub(super) fn note_refused<'s>(&self, slots: impl Iterator<Item = &'s Slot>) {
        for slot in slots {
            self.guard().refused(&self.routes_of(slot), Instant::now());
        }
    }

    fn routes_of(&self, slot: &Slot) -> Vec<usize> {
        self.guard().routes(&slot.partition.topic, slot.routes)
    }
}
