//! Moments at which a test can end the process as a power cut would, or break a part of it.
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
    /// The thread that writes progress and journals has something to write.
    Committing,
    /// Partitions are being given up, and what was in flight of them is committed.
    InRevoke,
    /// Kafka has a dead letter, and its record is not settled.
    DeadLetterNotSettled,
}

impl Failpoint {
    pub const ALL: [Self; 6] = [
        Self::JournaledNotSent,
        Self::AnsweredNotSettled,
        Self::SettledNotCommitted,
        Self::Committing,
        Self::InRevoke,
        Self::DeadLetterNotSettled,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::JournaledNotSent => "journaled_not_sent",
            Self::AnsweredNotSettled => "answered_not_settled",
            Self::SettledNotCommitted => "settled_not_committed",
            Self::Committing => "committing",
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

    static ARMED: OnceLock<(Failpoint, AtomicI64, Fate)> = OnceLock::new();

    /// What becomes of who reaches the point.
    #[derive(Debug, Clone, Copy)]
    enum Fate {
        /// The process ends, as in a power cut.
        Abort,
        /// As by a fault of ours.
        Panic,
        /// The thread goes on no more.
        Stick,
    }

    /// Arms `name`, `name:n` or `name:n:fate`: the process ends when the point is reached for the nth
    /// time, or the thread panics or sticks there. Gives whether there is such a point.
    pub fn arm(text: &str) -> bool {
        let mut words = text.split(':');
        let name = words.next().unwrap_or_default();
        let point = Failpoint::ALL.into_iter().find(|point| point.as_str() == name);
        let times = words.next().map_or(Ok(1), str::parse);
        let fate = match words.next() {
            None => Some(Fate::Abort),
            Some("panic") => Some(Fate::Panic),
            Some("stick") => Some(Fate::Stick),
            Some(_) => None,
        };
        let (Some(point), Ok(times), Some(fate)) = (point, times, fate) else { return false };
        ARMED.set((point, AtomicI64::new(times), fate)).is_ok()
    }

    /// Meets its fate if this is the moment.
    ///
    /// # Panics
    /// When a test asked for that.
    pub fn reach(point: Failpoint) {
        if let Some((armed, left, fate)) = ARMED.get()
            && *armed == point
            && left.fetch_sub(1, Ordering::Relaxed) == 1
        {
            match fate {
                Fate::Abort => std::process::abort(),
                #[expect(clippy::panic, reason = "what a test asked for")]
                Fate::Panic => panic!("a failpoint was reached"),
                #[expect(clippy::infinite_loop, reason = "what a test asked for")]
                Fate::Stick => loop {
                    std::thread::park();
                },
            }
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
