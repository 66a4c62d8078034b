//! Would it count? Holds what operations take for granted against what LaunchDarkly has.
//!
//! LaunchDarkly accepts an event that no metric listens to, an event about a context kind that no
//! metric analyses, and members of a kind that a segment does not hold. Nobody is told, and nothing
//! is counted. This stage says so before it happens.
//!
//! [`verdict`] is the rule, [`explain`] its words for a person, [`Checker`] remembers what it said.
//!
//! # Invariants
//! - J1: pure: operations and knowledge in, decisions and questions out; no clock, no request.
//! - J2: what is unknown is never a mistake.
//! - J3: a record is refused only on the strength of knowledge that is certain; until then it waits,
//!   and where nothing can be read it passes.
//! - J4: what this service makes itself is not called missing before it had the time to make it.
//!
//! Not here: how LaunchDarkly is read (`deliver`), what a refused record becomes (`path`).

mod announced;
mod checker;
pub mod event;
pub mod explain;
#[cfg(test)]
mod tests;
pub mod verdict;

pub use checker::{Checker, Decision, Made, Patience, RouteCheck};
