//! The properties of our Kafka clients, and what the client library was built with.
//!
//! What the user wrote comes first and what protects delivery comes last, so that no property can
//! switch a promise off (the configuration refuses such properties with the reason, too).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rdkafka::client::ClientContext;
use rdkafka::config::{ClientConfig, FromClientConfigAndContext, RDKafkaLogLevel};
use rdkafka::consumer::BaseConsumer;
use rdkafka::error::KafkaError;

use tokio::time::Instant;

use super::settings::KafkaSettings;

/// One warning per kind of trouble in this time.
const SILENCE: Duration = Duration::from_secs(60);

/// The latest thing a client complained about, for messages that would otherwise only say
/// "time-out".
#[derive(Debug, Clone, Default)]
pub struct LastComplaint(Arc<Mutex<Option<String>>>);

/// Passes librdkafka's log on to ours, and keeps the latest complaint.
#[derive(Debug, Clone, Default)]
pub struct KafkaLog {
    pub last: LastComplaint,
    /// When each kind of trouble was last told as a warning.
    told: Arc<Mutex<HashMap<String, Instant>>>,
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

/// Why a client cannot be created. Never holds a property's value: it may be a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CreateError {
    #[error("`{name}`: {problem}")]
    Property { name: String, problem: String },
    #[error("{0}")]
    Client(String),
}

/// Creates a client of any kind.
pub fn create<X: ClientContext, T: FromClientConfigAndContext<X>>(
    config: &ClientConfig,
    context: X,
) -> Result<T, CreateError> {
    config.create_with_context(context).map_err(CreateError::from)
}

/// Asks librdkafka about each of the user's properties on its own, so that all mistakes are found at
/// once and without a broker.
pub fn mistaken_properties(settings: &KafkaSettings) -> Vec<CreateError> {
    let mistaken = |(name, value): &(String, String)| {
        let mut config = ClientConfig::new();
        config.set(name, value);
        config.create_native_config().err().map(CreateError::from)
    };
    let alone: Vec<CreateError> = settings.properties.iter().filter_map(mistaken).collect();
    if !alone.is_empty() {
        return alone;
    }
    // Properties that exclude each other only show together.
    let mut config = client_config(settings);
    config.set("group.id", &settings.group_id);
    let consumer = create::<_, BaseConsumer<KafkaLog>>(&config, KafkaLog::default()).err();
    consumer.into_iter().collect()
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

// === impl CreateError ===

impl From<KafkaError> for CreateError {
    fn from(error: KafkaError) -> Self {
        let KafkaError::ClientConfig(_, problem, name, value) = error else {
            return Self::Client(error.to_string());
        };
        // librdkafka quotes the value in its texts.
        let problem = if value.is_empty() { problem } else { problem.replace(&value, "[value]") };
        Self::Property { name, problem }
    }
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

impl KafkaLog {
    /// Whether a kind of trouble has not been told for a while: an outage repeats itself several
    /// times a second, once for every broker.
    fn is_news(&self, facility: &str) -> bool {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let fresh = told.get(facility).is_none_or(|at| now.duration_since(*at) > SILENCE);
        if fresh {
            told.insert(facility.to_owned(), now);
        }
        fresh
    }
}

impl ClientContext for KafkaLog {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        match level {
            RDKafkaLogLevel::Emerg
            | RDKafkaLogLevel::Alert
            | RDKafkaLogLevel::Critical
            | RDKafkaLogLevel::Error => {
                self.last.set(message.to_owned());
                if self.is_news(facility) {
                    tracing::warn!(facility, message, "kafka client");
                } else {
                    tracing::debug!(facility, message, "kafka client");
                }
            }
            // A property that only another kind of client knows is expected: all clients get all
            // of the user's properties.
            RDKafkaLogLevel::Warning if facility == "CONFWARN" => {
                tracing::debug!(facility, message, "kafka client");
            }
            RDKafkaLogLevel::Warning if self.is_news(facility) => {
                tracing::warn!(facility, message, "kafka client");
            }
            RDKafkaLogLevel::Warning => tracing::debug!(facility, message, "kafka client"),
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
