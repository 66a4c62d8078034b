//! The properties of our Kafka clients, and what the client library was built with.
//!
//! What the user wrote comes first and what protects delivery comes last, so that no property can
//! switch a promise off (the configuration refuses such properties with the reason, too).

use std::sync::{Arc, Mutex, PoisonError};

use rdkafka::client::ClientContext;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::error::KafkaError;

use super::settings::KafkaSettings;

/// The latest thing a client complained about, for messages that would otherwise only say
/// "time-out".
#[derive(Debug, Clone, Default)]
pub struct LastComplaint(Arc<Mutex<Option<String>>>);

/// Passes librdkafka's log on to ours, and keeps the latest complaint.
#[derive(Debug, Clone, Default)]
pub struct KafkaLog {
    pub last: LastComplaint,
}

/// The properties all clients share.
pub fn client_config(settings: &KafkaSettings) -> ClientConfig {
    let mut config = ClientConfig::new();
    config
        .set("client.id", "ldsink")
        .set("socket.keepalive.enable", "true") // Load balancers forget idle connections.
        .set("reconnect.backoff.max.ms", "5000")
        .set("log.connection.close", "false") // Idle closes are no news.
        .set("metadata.recovery.strategy", "rebootstrap");
    for (name, value) in &settings.properties {
        config.set(name, value);
    }
    config.set("bootstrap.servers", &settings.bootstrap_servers);
    config.set_log_level(RDKafkaLogLevel::Info);
    config
}

/// What the bundled librdkafka was built with: its version and its feature list.
///
/// # Errors
/// When librdkafka refuses even an empty configuration.
pub fn compiled_in() -> Result<String, KafkaError> {
    let (_, version) = rdkafka::util::get_rdkafka_version();
    let features = ClientConfig::new().create_native_config()?.get("builtin.features")?;
    Ok(format!("librdkafka {version} ({})", features.replace(',', ", ")))
}

// === impl LastComplaint ===

impl LastComplaint {
    fn set(&self, text: String) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(text);
    }

    pub fn get(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

// === impl KafkaLog ===

impl ClientContext for KafkaLog {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        match level {
            RDKafkaLogLevel::Emerg
            | RDKafkaLogLevel::Alert
            | RDKafkaLogLevel::Critical
            | RDKafkaLogLevel::Error => {
                self.last.set(message.to_owned());
                tracing::warn!(facility, message, "kafka client");
            }
            // A property that only another kind of client knows is expected: all clients get all
            // of the user's properties.
            RDKafkaLogLevel::Warning if facility == "CONFWARN" => {
                tracing::debug!(facility, message, "kafka client");
            }
            RDKafkaLogLevel::Warning => tracing::warn!(facility, message, "kafka client"),
            RDKafkaLogLevel::Notice | RDKafkaLogLevel::Info | RDKafkaLogLevel::Debug => {
                tracing::debug!(facility, message, "kafka client");
            }
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.last.set(reason.to_owned());
        tracing::debug!(%error, reason, "kafka client error");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn production_clusters_can_be_reached() {
        let features = compiled_in().unwrap();
        for needed in ["ssl", "sasl_scram", "zstd", "lz4", "gzip", "snappy"] {
            assert!(features.contains(needed), "{needed} is not compiled in: {features}");
        }
    }
}
