//! LaunchDarkly's APIs as we use them.
pub mod settings;
