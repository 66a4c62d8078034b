//! Holds a configuration against the account it is for, without writing anything: `ldsink check
//! --online`.
//!
//! [`inspect`] asks LaunchDarkly and judges with the rule of `pipeline::check`, so that it says what
//! the service would say. [`policy`] words the smallest role for the configuration, [`report`] words
//! everything else.
//!
//! # Invariants
//! - A1: every request only reads.
//! - A2: a right counts as proven only where LaunchDarkly says so.
//!
//! Not here: the rule itself (`pipeline::check`).

pub mod inspect;
mod look;
pub mod policy;
pub mod report;
#[cfg(test)]
mod tests;
