//! Judges one change to one segment as a whole: all of it or nothing.
//!
//! # Invariants
//! - A1: a refused amendment leaves no trace.
//! - A2: a standard segment never holds more than 15,000 individual targets.
//!
//! Not here: the forms a change comes in (`semantic_patch`, `document_patch`, `routes`).

use super::members::{List, Members, Move, Verb};
use super::segment::{Details, Kind, Segment};
use crate::sandbox::journal::Note;
use crate::sandbox::refusal::Refusal;

/// The most individual targets of a standard segment.
const MAX_TARGETS: usize = 15_000;

/// A change to one segment.
#[derive(Debug, Clone, Default, PartialEq)]
pub(in crate::sandbox) struct Amendment {
    /// `None`: as they are.
    pub(in crate::sandbox) details: Option<Details>,
    /// In the order they take effect.
    pub(in crate::sandbox) moves: Vec<Move>,
}

// === impl Amendment ===

impl Amendment {
    pub(in crate::sandbox) fn of_moves(moves: Vec<Move>) -> Self {
        Self { details: None, moves }
    }

    /// Tells whether who is in the segment may change, which is what approvals are about.
    pub(in crate::sandbox) fn changes_targeting(&self, segment: &Segment) -> bool {
        let rules = self.details.as_ref().map(|details| &details.rules);
        !self.moves.is_empty() || rules.is_some_and(|rules| *rules != segment.details.rules)
    }

    /// # Errors
    /// 400 for a key on both lists, for too many targets, and for details that make no segment.
    pub(super) fn check(&self, segment: &Segment) -> Result<(), Refusal> {
        let refused = |message: String| Err(Refusal::bad_request(message));
        if self.details.as_ref().is_some_and(|details| details.name.is_empty()) {
            return refused("`name` must not be empty".to_owned());
        }
        if self.moves.iter().any(|step| step.key.is_empty() || step.context_kind.is_empty()) {
            return refused("context keys and kinds must not be empty".to_owned());
        }
        let total = match segment.members.plan(&self.moves) {
            Ok(total) => total,
            Err(contradiction) => return refused(contradiction.to_string()),
        };
        let grows = self.moves.iter().any(|step| step.verb == Verb::Add);
        if segment.kind == Kind::Standard && grows && total > MAX_TARGETS {
            return refused(format!(
                "the segment would have {total} individual targets, and {MAX_TARGETS} is the most"
            ));
        }
        Ok(())
    }

    /// Makes the change and returns whether anything is different. To be checked before.
    pub(super) fn apply(&self, segment: &mut Segment, at_ms: u64) -> bool {
        let details = self.details.as_ref().filter(|details| **details != segment.details);
        let redescribed = details.is_some();
        if let Some(details) = details {
            segment.details.clone_from(details);
        }
        let moved = segment.members.apply(&self.moves);
        let big = segment.kind != Kind::Standard;
        segment.version += u64::from(redescribed || (moved && !big));
        segment.membership_version += u64::from(moved && big);
        if redescribed || moved {
            segment.modified_at_ms = at_ms;
        }
        redescribed || moved
    }

    pub(in crate::sandbox) fn notes(&self) -> Vec<Note> {
        let mut wanted = Members::default();
        let (adds, removes): (Vec<_>, Vec<_>) =
            self.moves.iter().cloned().partition(|step| step.verb == Verb::Add);
        wanted.apply(&adds);
        let both = |step: &Move| wanted.contains(step.list, &step.context_kind, &step.key);
        if removes.iter().any(both) { vec![Note::MemberAddedAndRemoved] } else { Vec::new() }
    }
}

/// Puts removals before additions: what `/contexts` does with a key in both is undocumented, and in
/// this order it ends up on the list.
pub(in crate::sandbox) fn removals_first(mut moves: Vec<Move>) -> Vec<Move> {
    let place = |step: &Move| (step.verb == Verb::Add, step.list == List::Excluded);
    moves.sort_by_key(place);
    moves
}
