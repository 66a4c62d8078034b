//! From Kafka to LaunchDarkly and back: the stages in the order a record meets them.
//!
//! | stage | turns | into | runs on |
//! |---|---|---|---|
//! | [`source`] | Kafka's partitions | borrowed records | the consumer thread |
//! | [`decode`] | bytes | a change | the same, pure |
//! | [`route`] | a change | operations | the same, pure |
//! | [`check`] | an operation and what LaunchDarkly has | whether it would count | the same, pure |
//! | [`batch`] | metric events | a batch of one partition | the same, pure |
//! | [`coalesce`] | changes to one segment or metric | a batch with what they come to, each once | the same, pure |
//! | [`deliver`] | a batch | a request, and its answer into a settlement | async tasks |
//! | [`dead_letter`] | a refused record | a record of the dead-letter topic | async tasks |
//! | [`guard`] | refusals | a route that is halted | both, pure inside |
//! | [`ack`] | settlements | a low watermark | the consumer thread, pure |
//! | [`journal`] | edges of batches | what the next owner must cut again | the same, pure |
//! | [`commit`] | watermarks and journals | commits that are due | the same, pure |
//!
//! [`succession`] lets the path of a changed configuration follow that of the one before.
//! [`path`] joins the pure stages on the consumer thread. What crosses to the async side is a full
//! batch, never a record.

pub mod ack;
pub mod batch;
pub mod check;
pub mod coalesce;
pub mod commit;
pub mod dead_letter;
pub mod decode;
pub mod deliver;
pub mod guard;
pub mod journal;
pub mod path;
pub mod route;
pub mod settings;
pub mod source;
pub mod succession;
#[cfg(test)]
mod tests;
