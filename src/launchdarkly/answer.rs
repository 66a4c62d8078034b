//! What an answer means for what was sent, by class and not by status.
//!
//! Every class has one consequence, and they must not be mixed up: a fault of the configuration
//! must not consume records (P7), a fault of a record must not stop the others.

use std::fmt;
use std::time::Duration;

use super::hints::RateLimits;

/// What an accepted request gave, and what is left to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answered<T> {
    pub value: T,
    /// The HTTP status.
    pub status: u16,
    pub limits: RateLimits,
    /// How long the server asked us to wait before the next request.
    pub hint: Option<Duration>,
}

/// What became of a change to something that may not exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Written {
    Done,
    /// 404: there is no such metric or segment. Creating it tells whether the project or the
    /// environment is unknown as well.
    Absent,
}

/// What became of a creation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Creation<T> {
    Created(T),
    /// 409, under whatever code: somebody else was first, or at it. Read before going on; when
    /// nothing is there, this was a clash and is worth another attempt.
    AlreadyThere,
}

/// A request that was not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{class}: {detail}")]
pub struct ApiError {
    pub class: ErrorClass,
    /// The HTTP status; `None` when there was no answer.
    pub status: Option<u16>,
    /// LaunchDarkly's own code, e.g. `optimistic_locking_error`, where the answer had one.
    pub code: Option<String>,
    /// What the server said, shortened, or what happened to the connection.
    pub detail: String,
    /// How long the server asked us to wait.
    pub hint: Option<Duration>,
    /// What is left to send. Boxed to keep results small.
    pub limits: Box<RateLimits>,
}

/// The consequence that an error has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorClass {
    /// No answer: the network failed or took too long. The request may have been accepted.
    Network,
    /// 429: too many requests.
    Throttled,
    /// 408 and 5xx: the server could not, this time.
    Unavailable,
    /// 409: another write came in between, or what is to be created exists. What was read before
    /// is stale; the same request again would clash again.
    Conflict,
    /// 400, 413, 422 and statuses we do not know: the content is at fault.
    Refused,
    /// 401, 403, 404, 405, 406, 415, and what only something else than the API answers: the token, the project or environment, or our headers are at
    /// fault; no record can mend that.
    Misconfigured,
}

// === impl Answered ===

impl<T> Answered<T> {
    pub(super) fn map<U>(self, change: impl FnOnce(T) -> U) -> Answered<U> {
        let Self { value, status, limits, hint } = self;
        Answered { value: change(value), status, limits, hint }
    }
}

// === impl ApiError ===

impl ApiError {
    /// An error without an answer behind it.
    pub(super) fn unanswered(class: ErrorClass, detail: String) -> Self {
        Self { class, status: None, code: None, detail, hint: None, limits: Box::default() }
    }
}

// === impl ErrorClass ===

impl ErrorClass {
    pub const ALL: [Self; 6] = [
        Self::Network,
        Self::Throttled,
        Self::Unavailable,
        Self::Conflict,
        Self::Refused,
        Self::Misconfigured,
    ];

    /// Classifies a status that is not the one an API accepts with.
    pub fn of_status(status: u16) -> Self {
        match status {
            429 => Self::Throttled,
            408 | 425 | 500..=599 => Self::Unavailable,
            409 => Self::Conflict,
            // Something else answers at the address: a proxy, a portal, a page that has moved.
            0..=399 | 401..=407 | 410 | 411 | 415 | 451 => Self::Misconfigured,
            _ => Self::Refused,
        }
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Network => "network",
            Self::Throttled => "throttled",
            Self::Unavailable => "unavailable",
            Self::Conflict => "conflict",
            Self::Refused => "refused",
            Self::Misconfigured => "misconfigured",
        }
    }
}

impl fmt::Display for ErrorClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_has_its_class() {
        for (class, statuses) in [
            (ErrorClass::Throttled, &[429][..]),
            (ErrorClass::Unavailable, &[408, 500, 502, 503, 504, 599]),
            (ErrorClass::Conflict, &[409]),
            (ErrorClass::Refused, &[400, 413, 418, 422]),
            (
                ErrorClass::Misconfigured,
                &[200, 301, 307, 401, 402, 403, 404, 405, 406, 410, 411, 415, 451],
            ),
        ] {
            for status in statuses {
                assert_eq!(ErrorClass::of_status(*status), class, "{status}");
            }
        }
    }
}
