//! LaunchDarkly's APIs as a client sees them.
//!
//! [`events`] appends metric events on the events host. [`rest`] carries what the REST API offers:
//! [`metrics`] with the pure [`definition`], [`segments`] with the pure [`members`] and [`synced`].
//! [`facts`] reads from answers what decides whether something counts, and [`caller`] who asks.
//! All of them speak of their answers in the words of [`answer`] and [`hints`], and can show what they
//! would send ([`view`]). [`endpoint`] names what LaunchDarkly counts requests by.
//!
//! Not here: when to send, how often, and what to do with an answer (`resilience`,
//! `pipeline::deliver`).

pub mod answer;
pub mod caller;
pub mod definition;
pub mod endpoint;
pub mod events;
pub mod facts;
pub mod hints;
mod http;
pub mod members;
pub mod metrics;
mod refusal;
pub mod rest;
pub mod segments;
pub mod settings;
pub mod synced;
#[cfg(test)]
mod tests;
pub mod token;
pub mod view;
