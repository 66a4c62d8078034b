//! What records would become, without sending anything: for a person who writes a mapping, and for
//! the tests that keep it.
//!
//! [`input`] reads records, [`explain`] takes them through the compiled routes, [`plan`] makes the
//! requests that would go out, [`words`] says in the configuration's words what was mapped, [`show`]
//! prints it all, and [`cases`] compares it with what somebody expects.
//!
//! Decoding, mapping and the requests are the service's own code; what is repeated here is the
//! order in which they meet a record, and tests hold it against [`crate::pipeline::path`] and against
//! what becomes of the same records in a running service. What LaunchDarkly would answer is not known.
//!
//! Not here: where records and configuration come from (`cli`, `kafka`, `config`).

pub mod cases;
pub mod explain;
pub mod input;
pub mod plan;
pub mod show;
#[cfg(test)]
mod tests;
pub mod words;
