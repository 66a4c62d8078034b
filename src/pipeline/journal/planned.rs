//! What the journal's text tells of a batch: which target's, where, how it ended, and its content's check.

use uuid::Uuid;

use crate::model::batch::MappingFingerprint;

/// The namespace of target tags.
const TARGET_NAMESPACE: Uuid = Uuid::from_u128(0x8d1b_02c7_9e0f_4f58_a3b1_6c55_70d4_e29a);

/// Names a target and what maps records to it, across processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tag {
    pub(super) target: u32,
    pub(super) mapping: u32,
}

/// The first and the last record of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Edges {
    pub first: i64,
    pub last: i64,
}

/// Recognises the content of a batch; 24 bits of its body's checksum.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Check(pub(super) u32);

/// A batch of an earlier owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Planned {
    pub(super) edges: Edges,
    pub(super) state: PlannedState,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PlannedState {
    /// To be cut again.
    Open(Check),
    Done,
    /// Cut under another mapping, so that it cannot be cut again.
    Foreign,
}

// === impl Tag ===

impl Tag {
    pub(super) fn new(target: &str, mapping: MappingFingerprint) -> Self {
        let short = |id: Uuid| u32::try_from(id.as_u128() >> 96).unwrap_or_default();
        Self {
            target: short(Uuid::new_v5(&TARGET_NAMESPACE, target.as_bytes())),
            mapping: short(mapping.0),
        }
    }
}

// === impl Check ===

impl Check {
    /// The check of a batch's body.
    pub fn of(body: &[u8]) -> Self {
        Self(crc32fast::hash(body) & 0xff_ffff)
    }
}
