//! The batches of one target: those this process has cut, and those an earlier owner left.

use std::collections::VecDeque;

use super::{Check, Edges, Ended, Piece, Planned, PlannedState, Tag};
use crate::model::batch::{Mark, TargetId};

/// The batches of one target.
#[derive(Debug)]
pub(super) struct TargetJournal {
    pub(super) target: TargetId,
    pub(super) tag: Tag,
    /// What this process has cut, in offset order.
    pub(super) runs: VecDeque<Run>,
    /// What an earlier owner left and has not come by again; above all of `runs`.
    pub(super) plan: VecDeque<Planned>,
}

#[derive(Debug)]
pub(super) struct Run {
    pub(super) edges: Edges,
    pub(super) state: RunState,
}

#[derive(Debug)]
pub(super) enum RunState {
    /// May have been sent, or will be once the edges are in Kafka.
    Open { check: Check, cut: u64, parts: Parts },
    /// Accepted by LaunchDarkly, dead letters included.
    Done,
}

/// How much of a batch has ended; it is settled as a whole (J3).
#[derive(Debug)]
pub(super) struct Parts {
    /// Records whose end is not known.
    pub(super) open: usize,
    pub(super) accepted: Vec<Vec<Mark>>,
    pub(super) dead: Vec<i64>,
}

// === impl TargetJournal ===

impl TargetJournal {
    pub(super) fn pass_below(&mut self, offset: i64) {
        while let Some(planned) = self.plan.front().filter(|p| p.edges.last < offset).copied() {
            self.plan.pop_front();
            if planned.state == PlannedState::Done {
                // Still above the progress, perhaps; `forget_below` knows.
                self.runs.push_back(Run { edges: planned.edges, state: RunState::Done });
                self.join_done(self.runs.len() - 1);
            }
        }
    }

    /// Replaces the run at `at` by its parts, the letters that are under way, and what has ended.
    pub(super) fn divide(
        &mut self,
        at: usize,
        parts: &[Piece],
        letters: &[Piece],
    ) -> Option<Ended> {
        let run = self.runs.get_mut(at)?;
        let RunState::Open { cut, parts: ends, .. } = &mut run.state else { return None };
        let (cut, edges) = (*cut, run.edges);
        let accepted = std::mem::take(&mut ends.accepted);
        let dead = std::mem::take(&mut ends.dead);
        let done = |first, last| Run { edges: Edges { first, last }, state: RunState::Done };
        let open = |piece: &Piece| {
            let parts = Parts { open: piece.records, accepted: Vec::new(), dead: Vec::new() };
            Run { edges: piece.edges, state: RunState::Open { check: piece.check, cut, parts } }
        };
        let under_way = letters.iter().filter(|letter| {
            let offset = letter.edges.first;
            edges.first <= offset && offset <= edges.last && !dead.contains(&offset)
        });
        let mut pieces: Vec<Run> = parts.iter().chain(under_way).map(open).collect();
        pieces.extend(
            accepted
                .iter()
                .filter_map(|marks| Some(done(marks.first()?.offset, marks.last()?.offset))),
        );
        pieces.extend(dead.iter().map(|offset| done(*offset, *offset)));
        pieces.sort_by_key(|run| run.edges.first);
        let count = pieces.len();
        let after = self.runs.split_off(at + 1);
        self.runs.pop_back();
        self.runs.extend(pieces);
        self.runs.extend(after);
        for place in (at..at + count).rev() {
            self.join_done(place);
        }
        Some(Ended { accepted, dead })
    }

    /// Joins a run that is done with neighbours that are: between two batches of a target there are
    /// no records of it.
    pub(super) fn join_done(&mut self, at: usize) {
        for left in [at, at.wrapping_sub(1)] {
            let right = left.wrapping_add(1);
            let done = |at| self.runs.get(at).filter(|run| run.is_done()).map(|run| run.edges);
            if let (Some(first), Some(second)) = (done(left), done(right)) {
                self.runs.remove(right);
                if let Some(run) = self.runs.get_mut(left) {
                    run.edges = Edges { first: first.first, last: second.last };
                }
            }
        }
    }

    /// The newest cut that is not in Kafka for certain, among those up to `cuts`.
    pub(super) fn newest_cut(&self, cuts: u64) -> Option<u64> {
        self.runs.iter().rev().find_map(|run| match run.state {
            RunState::Open { cut, .. } => (cut > 0 && cut <= cuts).then_some(cut),
            RunState::Done => None,
        })
    }
}

// === impl Run ===

impl Run {
    pub(super) fn is_done(&self) -> bool {
        matches!(self.state, RunState::Done)
    }
}
