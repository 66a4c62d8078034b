//! What of a partition may have reached LaunchDarkly already: the edges of its batches, written to
//! Kafka beside its progress *before* they are sent.
//!
//! Whoever owns the partition next reads them, cuts exactly those batches again and sends them
//! under the same payload IDs, so that LaunchDarkly counts each once (P3). What was accepted above
//! the progress is kept, too, and skipped when it is read again.
//!
//! # Invariants
//! - J1: a batch is sent only after its edges are in Kafka, or when it was there before.
//! - J2: edges stay written until the progress is past the batch.
//! - J3: a batch's records are settled together, when its last part is accepted or dead-lettered;
//!   so the progress never stands within a batch that would have to be cut again. A batch of which
//!   parts wait for a person is divided: its parts are batches of their own from then on.
//! - J4: the text stays well within what a broker accepts; what does not fit waits unsent.
//!
//! Not here: when it is written (`commit`), by whom (`source`), what a batch holds (`batch`).

mod planned;
mod target;
mod text;

use std::collections::VecDeque;

pub use self::planned::{Check, Edges};
use self::planned::{Planned, PlannedState, Tag};
use self::target::{Parts, Run, RunState, TargetJournal};
use crate::model::batch::{MappingFingerprint, Mark, TargetId};
use crate::model::progress::NextOffset;

/// Bytes of text before which new batches wait: three quarters of the 4,096 that brokers accept by
/// default (`offset.metadata.max.bytes`), because numbers may grow a little as progress is made.
const TEXT_LIMIT: usize = 3_072;

/// Runs above which no batch is divided: about half of what fits.
const MOST_DIVIDED: usize = 120;

/// The journal of one assigned partition.
#[derive(Debug)]
pub struct Journal {
    targets: Vec<TargetJournal>,
    /// Counts cuts, so that a confirmation tells which of them it covers.
    cuts: u64,
}

/// Where a record stands in what an earlier owner left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Nothing is known of it.
    Free,
    /// Its events were accepted.
    Done,
    /// It belongs to a batch that is to be cut again.
    Planned(Edges),
    /// Its events may have been accepted, from another mapping.
    Foreign,
}

/// A part of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Piece {
    pub edges: Edges,
    pub records: usize,
    pub check: Check,
}

/// What is to become of a batch just cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Release {
    /// Its edges are in Kafka.
    Now,
    /// Once the commit is confirmed that covers this cut.
    AfterCommit(u64),
}

/// A batch has ended: what is to be settled.
#[derive(Debug, PartialEq, Eq)]
pub struct Ended {
    pub accepted: Vec<Vec<Mark>>,
    pub dead: Vec<i64>,
}

/// The text, and the cuts it covers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    pub text: String,
    pub cuts: u64,
}

/// A text that cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum JournalError {
    #[error("the offset metadata is not ldsink's")]
    Foreign,
    #[error("the journal was written by a version of ldsink that this one cannot read, or damaged")]
    Unreadable,
}

// === impl Journal ===

impl Journal {
    /// Begins a journal for the targets that a topic feeds: each with its name and its mapping.
    pub fn new<'n>(targets: impl Iterator<Item = (TargetId, &'n str, MappingFingerprint)>) -> Self {
        let targets = targets.map(|(target, name, mapping)| TargetJournal {
            target,
            tag: Tag::new(name, mapping),
            runs: VecDeque::new(),
            plan: VecDeque::new(),
        });
        Self { targets: targets.collect(), cuts: 0 }
    }

    /// Takes over what an earlier owner left beside its progress.
    ///
    /// # Errors
    /// The text is not ours or cannot be read; nothing is taken over then.
    pub fn recover(&mut self, text: &str, next: NextOffset) -> Result<(), JournalError> {
        for (tag, runs) in text::read(text, next)? {
            let Some(ours) = self.targets.iter_mut().find(|t| t.tag.target == tag.target) else {
                // A target that no longer exists, or that this topic does not feed any more.
                continue;
            };
            let same_mapping = ours.tag == tag;
            ours.plan.extend(runs.into_iter().map(|mut planned| {
                if !same_mapping && matches!(planned.state, PlannedState::Open(_)) {
                    planned.state = PlannedState::Foreign;
                }
                planned
            }));
        }
        Ok(())
    }

    /// Forgets what was taken over: the log it speaks of is gone.
    pub fn abandon_plan(&mut self) {
        self.targets.iter_mut().for_each(|target| target.plan.clear());
    }

    /// Whether something that an earlier owner left has not come by yet.
    pub fn is_recovering(&self) -> bool {
        self.targets.iter().any(|target| !target.plan.is_empty())
    }

    /// Notes that all records below `offset` have come by. What is still planned below it has left
    /// Kafka's log.
    pub fn pass_below(&mut self, target: TargetId, offset: i64) {
        if let Some(target) = self.of(target) {
            target.pass_below(offset);
        }
    }

    /// Where a record stands in what an earlier owner left to `target`.
    pub fn place(&self, target: TargetId, offset: i64) -> Place {
        let plan = self.targets.iter().find(|t| t.target == target).map(|t| &t.plan);
        let Some(planned) = plan.and_then(VecDeque::front) else { return Place::Free };
        if offset < planned.edges.first || offset > planned.edges.last {
            return Place::Free;
        }
        match planned.state {
            PlannedState::Open(_) => Place::Planned(planned.edges),
            PlannedState::Done => Place::Done,
            PlannedState::Foreign => Place::Foreign,
        }
    }

    /// Notes a batch that was cut.
    pub fn cut(&mut self, target: TargetId, edges: Edges, records: usize, check: Check) -> Release {
        self.cuts += 1;
        let cut = self.cuts;
        let Some(target) = self.of(target) else { return Release::AfterCommit(cut) };
        let planned = target.plan.front().copied();
        let same = planned == Some(Planned { edges, state: PlannedState::Open(check) });
        if planned.is_some_and(|planned| planned.edges.last <= edges.last) {
            target.plan.pop_front();
        }
        let parts = Parts { open: records, accepted: Vec::new(), dead: Vec::new() };
        // What was there before is covered by every commit that was ever made.
        let covered_from = if same { 0 } else { cut };
        let state = RunState::Open { check, cut: covered_from, parts };
        target.runs.push_back(Run { edges, state });
        if same { Release::Now } else { Release::AfterCommit(cut) }
    }

    /// Notes that records of a batch were accepted. Gives what is to be settled when that was its
    /// last part.
    pub fn accept(&mut self, target: TargetId, marks: Vec<Mark>) -> Option<Ended> {
        let first = marks.first()?.offset;
        self.end_part(target, first, |parts| {
            parts.open = parts.open.saturating_sub(marks.len());
            parts.accepted.push(marks);
        })
    }

    /// Notes that a record of a batch is in the dead-letter topic.
    pub fn bury(&mut self, target: TargetId, offset: i64) -> Option<Ended> {
        self.end_part(target, offset, |parts| {
            parts.open = parts.open.saturating_sub(1);
            parts.dead.push(offset);
        })
    }

    fn end_part(
        &mut self,
        target: TargetId,
        offset: i64,
        end: impl FnOnce(&mut Parts),
    ) -> Option<Ended> {
        let target = self.of(target)?;
        let at = target.runs.partition_point(|run| run.edges.last < offset);
        let run = target.runs.get_mut(at)?;
        let RunState::Open { parts, .. } = &mut run.state else { return None };
        end(parts);
        if parts.open > 0 {
            return None;
        }
        let accepted = std::mem::take(&mut parts.accepted);
        let dead = std::mem::take(&mut parts.dead);
        run.state = RunState::Done;
        target.join_done(at);
        Some(Ended { accepted, dead })
    }

    /// Makes parts of a batch, none of which was accepted, batches of their own, so that whoever has the
    /// partition next cuts them as they are, and not the whole that they were once part of. `letters`
    /// are the batch's records that were refused. Gives what has ended of it; nothing changes when
    /// the journal would grow too much.
    pub fn divide(
        &mut self,
        target: TargetId,
        parts: &[Piece],
        letters: &[Piece],
    ) -> Option<Ended> {
        let runs: usize = self.targets.iter().map(|target| target.runs.len()).sum();
        if runs + 2 * parts.len() + letters.len() > MOST_DIVIDED {
            return None;
        }
        let target = self.of(target)?;
        let mut whole = Ended { accepted: Vec::new(), dead: Vec::new() };
        let mut rest = parts;
        while let Some(part) = rest.first() {
            let at = target.runs.partition_point(|run| run.edges.last < part.edges.first);
            let Some(edges) = target.runs.get(at).map(|run| run.edges) else { break };
            // All that are parts of the same batch.
            let of_it = rest.partition_point(|part| part.edges.last <= edges.last);
            let Some((its, others)) = rest.split_at_checked(of_it.max(1)) else { break };
            rest = others;
            if part.edges != edges
                && let Some(Ended { accepted, dead }) = target.divide(at, its, letters)
            {
                whole.accepted.extend(accepted);
                whole.dead.extend(dead);
            }
        }
        Some(whole)
    }

    /// By target: how many batches have not ended.
    pub fn under_way(&self) -> impl Iterator<Item = (TargetId, usize)> {
        self.targets.iter().map(|target| {
            let open = target.runs.iter().filter(|run| !run.is_done());
            (target.target, open.count())
        })
    }

    /// Forgets what the progress has passed.
    pub fn forget_below(&mut self, next: NextOffset) {
        for target in &mut self.targets {
            while target.runs.front().is_some_and(|run| run.is_done() && run.edges.last < next.0) {
                target.runs.pop_front();
            }
        }
    }

    /// The text to be written beside `next`, with as many new cuts as fit, in order.
    pub fn write(&self, next: NextOffset) -> Written {
        let mut cuts = self.cuts;
        loop {
            let written = self.write_cuts(next, cuts);
            if written.len() <= TEXT_LIMIT {
                return Written { text: written, cuts };
            }
            // Give up the newest cut; what was sent before always fits.
            let newest = self.targets.iter().filter_map(|target| target.newest_cut(cuts)).max();
            match newest {
                Some(newest) => cuts = newest - 1,
                None => return Written { text: written, cuts },
            }
        }
    }

    fn write_cuts(&self, next: NextOffset, cuts: u64) -> String {
        let mut text = text::Writer::new(next);
        for target in &self.targets {
            let runs = target.runs.iter().filter_map(|run| match &run.state {
                RunState::Open { check, cut, .. } if *cut <= cuts => {
                    Some(Planned { edges: run.edges, state: PlannedState::Open(*check) })
                }
                RunState::Open { .. } => None,
                RunState::Done => Some(Planned { edges: run.edges, state: PlannedState::Done }),
            });
            let plan = target.plan.iter().copied();
            text.target(target.tag, runs.chain(plan));
        }
        text.finish()
    }

    fn of(&mut self, target: TargetId) -> Option<&mut TargetJournal> {
        self.targets.iter_mut().find(|journal| journal.target == target)
    }
}

#[cfg(test)]
mod tests;
