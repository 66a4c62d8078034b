//! Looking at dead letters, and sending their records once more.
//!
//! ```text
//! topic of dead letters ─▶ letter ─▶ select ─▶ show            (list, show)
//!                                        └───▶ replay ─▶ the topics they came from
//!                                                │
//!                                              marks: which letters were replayed
//! ```
//!
//! # Invariants
//! - D1: what a record holds is shown only when asked for: it may be personal.
//! - D2: a letter is replayed once, however often and from wherever that is asked, unless it is asked
//!   for expressly; the record and the mark are written in one transaction.
//! - D3: a replayed record is the original, its partition included, and says how often it was
//!   replayed and what it is still for.
//!
//! Not here: how letters are written (`pipeline::dead_letter`), what routes make of a replayed record
//! (`pipeline::route`), the command line (`cli::dlq`).

pub mod letter;
pub mod marks;
pub mod replay;
pub mod run;
pub mod select;
pub mod show;
