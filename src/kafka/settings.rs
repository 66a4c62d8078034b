//! How to reach Kafka and as whom to consume.

use std::time::Duration;

/// Connection and consumer-group settings.
#[derive(Clone)]
pub struct KafkaSettings {
    /// `host:port`, several separated by commas.
    pub bootstrap_servers: String,
    pub group_id: String,
    /// How long to wait at start for the first broker to answer. 1 s to 10 min.
    pub startup_timeout: Duration,
    /// Further librdkafka properties, in the order they were written. May hold secrets.
    pub properties: Vec<(String, String)>,
}

impl std::fmt::Debug for KafkaSettings {
    /// Names the properties without their values: some are secrets.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KafkaSettings")
            .field("bootstrap_servers", &self.bootstrap_servers)
            .field("group_id", &self.group_id)
            .field("startup_timeout", &self.startup_timeout)
            .field("properties", &self.properties.iter().map(|(k, _)| k).collect::<Vec<_>>())
            .finish()
    }
}
