//! Holds the segments of all environments and who is in them.
//!
//! ```text
//! semantic_patch ─┐
//! document_patch ─┼─▶ amendment ─▶ members
//! routes ─────────┘
//! ```
//!
//! # Invariants
//! - S1: an accepted request changes a segment in one step, under one lock.
//! - S2: `version` rises with every change to a standard segment and to the details of a big one,
//!   `membership_version` with every change to the members of a big one.
//!
//! Not here: the HTTP side (`routes`).

mod amendment;
mod change;
mod document_patch;
mod members;
mod name;
mod segment;
mod semantic_patch;

use std::collections::BTreeMap;

pub(super) use self::amendment::{Amendment, removals_first};
pub(super) use self::change::SegmentChange;
pub(super) use self::members::{List, Move, Verb};
pub(super) use self::name::Name;
pub(super) use self::segment::{Detail, Details, Kind, Portrait, Segment, USER};
pub(super) use self::{
    document_patch::read as read_document_patch, semantic_patch::read as read_semantic_patch,
};
use super::history::{HistoryBook, HistoryPage, Receipt};
use super::operation::{Occasion, Target};
use super::refusal::Refusal;
use super::settings::JournalMode;

/// The segments of all environments.
#[derive(Debug)]
pub(super) struct Segments {
    environments: BTreeMap<Target, BTreeMap<String, Segment>>,
    /// How often a key was created, deleted segments included.
    generations: BTreeMap<(Target, String), u64>,
    history: HistoryBook<(Target, String), SegmentChange>,
}

/// What a segment starts as.
#[derive(Debug)]
pub(super) struct Draft {
    pub(super) key: String,
    pub(super) kind: Kind,
    pub(super) details: Details,
}

// === impl Segments ===

impl Segments {
    pub(super) fn new(mode: JournalMode) -> Self {
        Self {
            environments: BTreeMap::new(),
            generations: BTreeMap::new(),
            history: HistoryBook::new(mode),
        }
    }

    /// Returns an environment's segments in the order of their keys.
    pub(super) fn of_environment(&self, home: &Target) -> impl Iterator<Item = &Segment> {
        self.environments.get(home).into_iter().flat_map(BTreeMap::values)
    }

    pub(super) fn all(&self) -> impl Iterator<Item = (&Target, &Segment)> {
        let environments = self.environments.iter();
        environments.flat_map(|(home, segments)| segments.values().map(move |it| (home, it)))
    }

    pub(super) fn find(&self, home: &Target, key: &str) -> Option<&Segment> {
        self.environments.get(home)?.get(key)
    }

    pub(super) fn get(&self, home: &Target, key: &str) -> Result<&Segment, Refusal> {
        self.find(home, key).ok_or_else(|| unknown(home, key))
    }

    /// Creates a segment with its first members, or nothing.
    ///
    /// # Errors
    /// 409 for a key that is taken, 400 for members that are not allowed.
    pub(super) fn create(
        &mut self,
        home: &Target,
        draft: Draft,
        first: Amendment,
        occasion: Occasion,
    ) -> Result<Receipt, Refusal> {
        let Draft { key, kind, details } = draft;
        if self.find(home, &key).is_some() {
            return Err(Refusal::key_exists(format!("Duplicate segment key: {key}")));
        }
        // Lists are in the order of creation, so no two are made in one millisecond.
        let after = self.of_environment(home).map(|segment| segment.created_at_ms + 1).max();
        let created_at_ms = occasion.at_ms.max(after.unwrap_or_default());
        let mut segment = Segment {
            key: key.clone(),
            kind,
            details,
            members: members::Members::default(),
            generation: 0,
            version: 1,
            membership_version: 1,
            created_at_ms,
            modified_at_ms: created_at_ms,
        };
        first.check(&segment)?;
        segment.members.apply(&first.moves);
        let generation = self.generations.entry((home.clone(), key.clone())).or_default();
        *generation += 1;
        segment.generation = *generation;
        let change = SegmentChange::created(&segment, first.moves);
        self.environments.entry(home.clone()).or_default().insert(key.clone(), segment);
        Ok(self.write(home, key, occasion, change))
    }

    /// Tells what a segment would become, and changes nothing.
    ///
    /// # Errors
    /// 404, or 400 for a result that is not allowed.
    pub(super) fn preview(
        &self,
        home: &Target,
        key: &str,
        amendment: &Amendment,
        at_ms: u64,
    ) -> Result<Segment, Refusal> {
        let mut segment = self.get(home, key)?.clone();
        amendment.check(&segment)?;
        amendment.apply(&mut segment, at_ms);
        Ok(segment)
    }

    /// Changes a segment as a whole, or not at all.
    ///
    /// # Errors
    /// 404, or 400 for a result that is not allowed.
    pub(super) fn amend(
        &mut self,
        home: &Target,
        key: &str,
        amendment: Amendment,
        occasion: Occasion,
    ) -> Result<Receipt, Refusal> {
        let segments = self.environments.get_mut(home);
        let segment = segments.and_then(|segments| segments.get_mut(key));
        let segment = segment.ok_or_else(|| unknown(home, key))?;
        amendment.check(segment)?;
        let changed = amendment.apply(segment, occasion.at_ms);
        let change = SegmentChange::updated(segment, changed, amendment.moves);
        Ok(self.write(home, key.to_owned(), occasion, change))
    }

    /// # Errors
    /// 404.
    pub(super) fn delete(
        &mut self,
        home: &Target,
        key: &str,
        occasion: Occasion,
    ) -> Result<Receipt, Refusal> {
        let removed = self.environments.get_mut(home).and_then(|segments| segments.remove(key));
        let segment = removed.ok_or_else(|| unknown(home, key))?;
        let change = SegmentChange::deleted(&segment);
        Ok(self.write(home, key.to_owned(), occasion, change))
    }

    fn write(
        &mut self,
        home: &Target,
        key: String,
        occasion: Occasion,
        change: SegmentChange,
    ) -> Receipt {
        let home = (home.clone(), key);
        let seq = self.history.write(home.clone(), occasion, change);
        Receipt::Segment { home, seq }
    }

    pub(super) fn stamp(&mut self, home: &(Target, String), seq: u64, request: u64) {
        self.history.stamp(home, seq, request);
    }

    pub(super) fn history(
        &self,
        home: &(Target, String),
        from: u64,
        limit: usize,
    ) -> HistoryPage<SegmentChange> {
        self.history.page(home, from, limit)
    }

    /// Forgets what happened; the segments stay.
    pub(super) fn forget_history(&mut self) {
        self.history.forget();
    }

    /// Forgets the segments; what happened stays, and so do the generations.
    pub(super) fn clear(&mut self) {
        self.environments.clear();
    }
}

fn unknown(home: &Target, key: &str) -> Refusal {
    let Target { project, environment } = home;
    Refusal::not_found(format!(
        "environment {environment} of project {project} has no segment {key}"
    ))
}
