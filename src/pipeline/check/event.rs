//! Reads from a metric event, as it is written, what decides whether it counts.
//!
//! Only for routes whose event key or value differs from record to record; for the others the route
//! says everything.

use std::borrow::Cow;

use serde::Deserialize;
use serde::de::IgnoredAny;

/// The parts of an event that records may bring.
#[derive(Debug, Deserialize)]
pub struct Written<'a> {
    #[serde(borrow)]
    pub key: Cow<'a, str>,
    #[serde(rename = "metricValue", default)]
    value: Option<IgnoredAny>,
}

impl<'a> Written<'a> {
    /// Reads an event; `None` for what is none.
    pub fn read(event: &'a [u8]) -> Option<Self> {
        serde_json::from_slice(event).ok()
    }

    pub fn has_value(&self) -> bool {
        self.value.is_some()
    }
}
