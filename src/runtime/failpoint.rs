//! Moments at which a test can end the process as a power cut would.
//!
//! Only debug builds have them: in a release build [`reach`] is nothing. A crash between two steps is
//! rare by chance and frequent by design, so the promises are tested at each of them.

/// A moment between two steps that must not be taken for one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failpoint {
    /// The edges of a batch are in Kafka, and it has not been sent.
    JournaledNotSent,
    /// LaunchDarkly has accepted a batch, and nobody has been told.
    AnsweredNotSettled,
    /// Records are settled, and Kafka does not know.
    SettledNotCommitted,
    /// Partitions are being given up, and what was in flight of them is committed.
    InRevoke,
    /// Kafka has a dead letter, and its record is not settled.
    DeadLetterNotSettled,
}

impl Failpoint {
    pub const ALL: [Self; 5] = [
        Self::JournaledNotSent,
        Self::AnsweredNotSettled,
        Self::SettledNotCommitted,
        Self::InRevoke,
        Self::DeadLetterNotSettled,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::JournaledNotSent => "journaled_not_sent",
            Self::AnsweredNotSettled => "answered_not_settled",
            Self::SettledNotCommitted => "settled_not_committed",
            Self::InRevoke => "in_revoke",
            Self::DeadLetterNotSettled => "dead_letter_not_settled",
        }
    }
}

#[cfg(debug_assertions)]
mod armed {
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicI64, Ordering};

    use super::Failpoint;

    static ARMED: OnceLock<(Failpoint, AtomicI64)> = OnceLock::new();

    /// Arms `name` or `name:n`: the process ends when the point is reached for the nth time. Gives
    /// whether there is such a point.
    pub fn arm(text: &str) -> bool {
        let (name, times) = text.split_once(':').unwrap_or((text, "1"));
        let point = Failpoint::ALL.into_iter().find(|point| point.as_str() == name);
        let (Some(point), Ok(times)) = (point, times.parse()) else { return false };
        ARMED.set((point, AtomicI64::new(times))).is_ok()
    }

    /// Ends the process if this is the moment.
    pub fn reach(point: Failpoint) {
        if let Some((armed, left)) = ARMED.get()
            && *armed == point
            && left.fetch_sub(1, Ordering::Relaxed) == 1
        {
            std::process::abort();
        }
    }
}

#[cfg(not(debug_assertions))]
mod armed {
    use super::Failpoint;

    /// There are none in a release build.
    pub fn arm(_text: &str) -> bool {
        false
    }

    /// Nothing.
    #[inline]
    pub fn reach(_point: Failpoint) {}
}

pub use armed::{arm, reach};
