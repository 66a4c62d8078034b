//! Lists the oddities worth a remark in the journal.
//!
//! A note marks a request that was judged by a rule LaunchDarkly does not document, or that leans on
//! an account's settings. A careful client earns none.

use serde::Serialize;

/// One oddity of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(in crate::sandbox) enum Note {
    /// No `LD-API-Version`: in a real account the version stored with the token would apply.
    ApiVersionMissing,
    /// One request adds a key to a list and removes it from the same list.
    MemberAddedAndRemoved,
    /// The members of a synced segment were written past its integration.
    SyncedSegmentWritten,
}
