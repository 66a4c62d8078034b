//! Remembers payload IDs, to tell a repeated request from a new one.
//!
//! LaunchDarkly drops a request whose payload ID it has seen, provided that it carries the same
//! content. How long it remembers is not documented; the sandbox remembers until its
//! journal is reset.
//!
//! # Invariants
//! - R1: of the requests with one ID and one content, exactly the first is new.
//! - R2: an ID that comes back with other content is new *and* a conflict.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::{DefaultHasher, Hash, Hasher};

use uuid::Uuid;

use crate::sandbox::operation::Target;

/// What a request holds, in brief: equal contents have equal fingerprints, and different ones
/// differ but for a chance of one in 2^64.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(in crate::sandbox) struct Fingerprint(u64);

/// What a payload ID says about a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::sandbox) enum Novelty {
    New,
    /// The same ID and the same content: to be dropped.
    Repeat,
    /// The same ID with other content: the client broke its promise.
    Conflict,
}

/// All IDs seen.
#[derive(Debug, Default)]
pub(super) struct PayloadIds {
    first: HashMap<Uuid, Fingerprint>,
    /// The contents that came under an ID after its first; empty unless a client misbehaves.
    others: HashMap<Uuid, Vec<Fingerprint>>,
}

// === impl Fingerprint ===

impl Fingerprint {
    /// Takes the fingerprint of an uncompressed body and where it was sent.
    pub(in crate::sandbox) fn of(target: &Target, body: &[u8]) -> Self {
        let mut hasher = DefaultHasher::new();
        target.hash(&mut hasher);
        body.hash(&mut hasher);
        Self(hasher.finish())
    }
}

// === impl PayloadIds ===

impl PayloadIds {
    /// Remembers a request that was taken and says how new it is.
    pub(super) fn meet(&mut self, id: Uuid, content: Fingerprint) -> Novelty {
        let first = match self.first.entry(id) {
            Entry::Vacant(place) => {
                place.insert(content);
                return Novelty::New;
            }
            Entry::Occupied(place) => *place.get(),
        };
        if first == content {
            return Novelty::Repeat;
        }
        let others = self.others.entry(id).or_default();
        if others.contains(&content) {
            return Novelty::Repeat;
        }
        others.push(content);
        Novelty::Conflict
    }

    pub(super) fn len(&self) -> usize {
        self.first.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: Fingerprint = Fingerprint(1);
    const B: Fingerprint = Fingerprint(2);

    #[test]
    fn only_the_first_of_equal_requests_is_new_r1() {
        let mut ids = PayloadIds::default();
        let (one, two) = (Uuid::from_u128(1), Uuid::from_u128(2));
        assert_eq!(ids.meet(one, A), Novelty::New);
        assert_eq!(ids.meet(two, A), Novelty::New);
        assert_eq!(ids.meet(one, A), Novelty::Repeat);
        assert_eq!(ids.meet(one, A), Novelty::Repeat);
        assert_eq!(ids.len(), 2);
    }

    #[test]
    fn other_content_under_a_known_id_is_a_conflict_once_r2() {
        let mut ids = PayloadIds::default();
        let id = Uuid::from_u128(1);
        assert_eq!(ids.meet(id, A), Novelty::New);
        assert_eq!(ids.meet(id, B), Novelty::Conflict);
        assert_eq!(ids.meet(id, B), Novelty::Repeat);
        assert_eq!(ids.meet(id, A), Novelty::Repeat);
    }

    #[test]
    fn the_target_is_part_of_the_content() {
        let target = |environment: &str| Target {
            project: "shop".to_owned(),
            environment: environment.to_owned(),
        };
        assert_eq!(Fingerprint::of(&target("a"), b"[]"), Fingerprint::of(&target("a"), b"[]"));
        assert_ne!(Fingerprint::of(&target("a"), b"[]"), Fingerprint::of(&target("b"), b"[]"));
        assert_ne!(Fingerprint::of(&target("a"), b"[]"), Fingerprint::of(&target("a"), b"[1]"));
    }
}
