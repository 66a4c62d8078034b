//! The segment lanes of a target: one batch at a time per segment, several segments at once.
//!
//! A segment that the configuration names and that is missing or of another kind is a fault of the
//! configuration: its lane waits and says so (P7). One that a record names is a fault of the record.
//!
//! # Invariants
//! - V3: a segment's requests are made one after another, each repeated until it is answered, so no
//!   repeat comes after a newer change (P4).
//! - V4: when a request is refused, the member at fault is found by halving; the others are applied.

mod requests;
mod work;

use bytes::Bytes;
use serde_json::json;

pub use self::requests::{changes_of, creation_of, writes_of};
use self::requests::{halves, is_synced};
use self::work::Work;
use super::courier::{Abandoned, Answered, Courier};
use super::refused::Refused;
use super::seat::Seat;
use crate::launchdarkly::answer::{Creation, Written};
use crate::launchdarkly::endpoint::Endpoint;
use crate::launchdarkly::members::MemberChanges;
use crate::launchdarkly::segments::{MemberWrite, SegmentKind as Found, SegmentsClient};
use crate::model::intent::{Intent, Slots};
use crate::model::operation::{SegmentBatch, SegmentKind};
use crate::model::outcome::RefusalReason;
use crate::model::progress::Settlement;
use crate::pipeline::guard::Probe;
use crate::resilience::retry::RetryPauses;

/// The name of these lanes' operation.
pub const OPERATION: &str = "segment_member";

/// Delivers the membership changes of one target.
#[derive(Debug)]
pub struct SegmentLanes {
    client: SegmentsClient,
    courier: Courier,
}

/// What stands in the way of a segment, found after a refusal or an absence.
enum Obstacle {
    /// Nothing of the segment itself: the members are at fault.
    None,
    Missing,
    OtherKind(String),
}

impl SegmentLanes {
    pub fn new(client: SegmentsClient, courier: Courier) -> Self {
        let courier = courier.sending_to(client.server());
        Self { client, courier }
    }

    /// Applies a batch and reports its end.
    pub(super) async fn deliver(
        &self,
        batch: SegmentBatch,
        seat: &mut Seat,
    ) -> Result<(), Abandoned> {
        let lane = batch.lane();
        let standing = batch.intents.iter().flat_map(Intent::standing);
        let bytes = standing.map(|slot| slot.bytes).sum();
        let members = u64::try_from(batch.intents.len()).unwrap_or(u64::MAX);
        self.courier.sight.batch(members, bytes, batch.since);
        let mut work = Work::new(batch, self.courier.patience());
        loop {
            self.prepare_all(&mut work);
            let ended = self.write_all(&mut work, seat).await;
            // When a fence fell, what was on its behalf is somebody else's now; the rest goes on.
            if ended.is_ok() || !work.drop_fallen() {
                // Every member that LaunchDarkly took is in `accepted`; of an abandoned batch the
                // others stay open, so their records are read again.
                let accepted = std::mem::take(&mut work.accepted);
                if ended.is_err() {
                    // Whoever has the records now tells what stands in their way.
                    self.courier.forget(&work.fault_name());
                }
                self.courier.settle(Settlement::Keyed { lane, accepted });
                return ended;
            }
        }
    }

    async fn write_all(&self, work: &mut Work, seat: &mut Seat) -> Result<(), Abandoned> {
        // Of a halted route, until something is judged.
        let mut probe = None;
        while !work.writes.is_empty() {
            if probe.is_none() {
                probe = self.wait_if_halted(work, seat).await?;
            }
            let open = work.open.len();
            let Some(write) = work.writes.pop() else { break };
            work.is_for(&write, self.courier.spans.links());
            let answer = self.send(&write, work).await?;
            match answer {
                Answered::Accepted(Written::Done) => {
                    work.absences = None;
                    self.courier.heal(&work.fault_name());
                    let before = work.accepted.len();
                    work.accept(&write);
                    self.courier.note_passed(work.accepted.iter().skip(before));
                }
                Answered::Accepted(Written::Absent) => self.make(work, write).await?,
                Answered::Refused(refused) if refused.gave_up => {
                    self.refuse(work, &write, &refused);
                }
                Answered::Refused(refused) => self.isolate(work, write, &refused).await?,
            }
            if work.open.len() < open {
                probe = None;
            }
        }
        Ok(())
    }

    async fn send(&self, write: &MemberWrite, work: &Work) -> Result<Answered<Written>, Abandoned> {
        let send = |trace| async move { self.client.of_trace(trace).write(write).await };
        self.courier.carry(write.endpoint(), send, work.errand()).await
    }

    /// Waits while one of the routes is halted that the members come from.
    async fn wait_if_halted(
        &self,
        work: &mut Work,
        seat: &mut Seat,
    ) -> Result<Option<Probe<'_>>, Abandoned> {
        if !self.courier.guard().is_any_halted() {
            return Ok(None);
        }
        // What is accepted does not wait for what is not.
        let slots = std::mem::take(&mut work.accepted);
        self.courier.settle(Settlement::Accepted { slots });
        let open = || work.open.values();
        let (standing, all) = (open().flat_map(Intent::standing), open().flat_map(Intent::slots));
        let probe =
            self.courier.admit(standing, all, (&work.batch.lane(), &work.fences), seat).await?;
        if probe.is_some() {
            work.renew(self.courier.patience());
        }
        Ok(probe)
    }

    /// Finds out what a refusal is about: the segment as a whole, or one of the members.
    async fn isolate(
        &self,
        work: &mut Work,
        write: MemberWrite,
        refused: &Refused,
    ) -> Result<(), Abandoned> {
        match (self.obstacle(work).await?, halves(write.changes())) {
            (Obstacle::None, Some((head, tail))) => {
                for half in [tail, head] {
                    let parts = self.prepare(&work.batch, &half);
                    work.writes.extend(parts.into_iter().rev());
                }
            }
            (Obstacle::None, None) => self.refuse(work, &write, refused),
            // The content was looked at before the segment was.
            (Obstacle::Missing, _) => self.make(work, write).await?,
            (Obstacle::OtherKind(found), _) => {
                let what = format!("is of another kind ({found})");
                if self.wait_if_fixed(work, &what).await? {
                    work.writes.push(write);
                } else {
                    self.refuse(work, &write, refused);
                }
            }
        }
        Ok(())
    }

    /// Sees to a segment that is not there, and has the write made again if that is worth it.
    async fn make(&self, work: &mut Work, write: MemberWrite) -> Result<(), Abandoned> {
        let settings = &self.courier.settings;
        match &mut work.absences {
            None => {
                work.absences = Some(RetryPauses::new(settings.retry_initial, settings.retry_max));
            }
            // What was just made is not there, and may be soon.
            Some(pauses) => self.courier.pause(pauses.next(None), &work.fences).await?,
        }
        let Some(refused) = self.create(work).await? else {
            work.writes.push(write);
            return Ok(());
        };
        if !refused.gave_up && self.wait_if_fixed(work, &refused.detail).await? {
            work.writes.push(write);
        } else {
            let detail = format!("the segment {}", refused.detail);
            self.refuse(work, &write, &Refused { detail, ..refused });
        }
        Ok(())
    }

    fn prepare_all(&self, work: &mut Work) {
        let changes = work.changes();
        if !changes.is_empty() {
            work.writes = self.prepare(&work.batch, &changes).into_iter().rev().collect();
        }
    }

    fn prepare(&self, batch: &SegmentBatch, changes: &MemberChanges) -> Vec<MemberWrite> {
        writes_of(&self.client, batch, changes)
    }

    /// Creates the segment, if that is wanted. Gives why it is not there still.
    async fn create(&self, work: &Work) -> Result<Option<Refused>, Abandoned> {
        let batch = &work.batch;
        let Some(spec) = creation_of(batch) else { return self.miss(work).await };
        let spec = &spec;
        let create = |trace| async move { self.client.of_trace(trace).create(spec).await };
        Ok(match self.courier.carry(Endpoint::SegmentCreate, create, work.errand()).await? {
            Answered::Accepted(creation) => {
                if matches!(creation, Creation::Created(_)) {
                    tracing::info!(segment = &*batch.segment, "segment created");
                }
                None
            }
            Answered::Refused(refused) => {
                let detail = format!("cannot be created ({})", refused.detail);
                Some(Refused { detail, ..refused })
            }
        })
    }

    /// Makes sure that the segment is not there. Gives that as a reason if so.
    async fn miss(&self, work: &Work) -> Result<Option<Refused>, Abandoned> {
        // Nothing else tells an unknown segment from an unknown environment (P7).
        let find = |trace| async move { self.client.of_trace(trace).find_environment().await };
        let home = self.courier.carry(Endpoint::SegmentList, find, work.errand()).await?;
        if let Answered::Refused(refused) = home {
            return Ok(Some(refused));
        }
        // It may have taken a person to make the environment known.
        let segment = &*work.batch.segment;
        let get = |trace| async move { self.client.of_trace(trace).get(segment).await };
        Ok(match self.courier.carry(Endpoint::SegmentGet, get, work.errand()).await? {
            Answered::Accepted(found) => found.is_none().then(|| {
                let detail = "does not exist".to_owned();
                Refused { status: Some(404), detail, attempts: 1, gave_up: false }
            }),
            Answered::Refused(refused) => Some(refused),
        })
    }

    async fn obstacle(&self, work: &Work) -> Result<Obstacle, Abandoned> {
        let batch = &work.batch;
        if is_synced(batch) {
            return Ok(Obstacle::None);
        }
        let get = |trace| async move { self.client.of_trace(trace).get(&batch.segment).await };
        let found = match self.courier.carry(Endpoint::SegmentGet, get, work.errand()).await? {
            Answered::Accepted(found) => found,
            Answered::Refused(_) => return Ok(Obstacle::None),
        };
        let Some(view) = found else { return Ok(Obstacle::Missing) };
        Ok(match (&batch.shape.kind, view.kind) {
            (SegmentKind::Big, Found::Big { context_kind })
                if context_kind == batch.shape.context_kind =>
            {
                Obstacle::None
            }
            (SegmentKind::Standard, Found::Standard) => Obstacle::None,
            (_, other) => Obstacle::OtherKind(format!("{other:?}")),
        })
    }

    /// Waits a while when the configuration names the segment. Gives whether it did.
    async fn wait_if_fixed(&self, work: &mut Work, what: &str) -> Result<bool, Abandoned> {
        let batch = &work.batch;
        if !batch.shape.fixed {
            return Ok(false);
        }
        let reason = format!(
            "segment `{}` {what}; mend `kind` and `context_kind`, create it, or set `create: true`",
            batch.segment
        );
        self.courier.wait_for_a_person(&work.fault_name(), &reason, &work.fences).await?;
        work.renew(self.courier.patience());
        Ok(true)
    }

    /// Dead-letters the members of a write, but for those who are to leave a segment that is not
    /// there. Of a member's records only those are that no newer one
    /// replaced: replaying them gives the right end.
    fn refuse(&self, work: &mut Work, write: &MemberWrite, refused: &Refused) {
        let reason = refused.reason_of_member();
        for (member, intent) in write.changes().members() {
            let Some(open) = work.open.remove(member) else { continue };
            if reason == RefusalReason::SegmentMissing && !open.wanted().is_in() {
                // Nobody is in a segment that does not exist.
                work.accepted.extend(open.into_slots().all());
                continue;
            }
            let Slots { standing, mut replaced } = open.into_slots();
            work.accepted.append(&mut replaced);
            let segment = &*work.batch.segment;
            let intent = format!("{intent:?}");
            let sent = json!({ "segment": segment, "member": member, "intent": intent });
            let sent = Bytes::from(sent.to_string());
            if !refused.gave_up {
                self.courier.note_refused(standing.iter());
            }
            for slot in standing {
                self.courier.dead_letter(slot, reason, refused, sent.clone());
            }
        }
    }
}
