//! What is checked before the first record is read: can the cluster be reached, do the topics exist.
//!
//! A mistake here would otherwise show as silence: a consumer waits for an unknown topic for ever.

use std::time::Duration;

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::connection::{CreateError, KafkaLog, client_config, create};
use super::settings::KafkaSettings;
use crate::model::topic::TopicSelector;

/// One metadata request's time; the whole check has `startup_timeout`.
/// Short, because a stop is only heard between two.
const REQUEST: Duration = Duration::from_secs(2);
/// Partitions of a dead-letter topic we create: order among dead letters carries no meaning, and
/// one partition is the easiest to read.
const DEAD_LETTER_PARTITIONS: i32 = 1;

/// What the pipeline needs to find in the cluster.
#[derive(Debug, Clone)]
pub struct Needs {
    pub topics: Vec<TopicSelector>,
    pub dead_letter_topic: String,
    pub create_dead_letter_topic: bool,
}

/// Why the pipeline cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartupError {
    #[error("librdkafka refuses the kafka properties; see `kafka.properties` in the configuration")]
    Properties(#[source] CreateError),
    #[error("stopped before kafka answered")]
    Stopped,
    #[error(
        "no Kafka broker answered at {servers} within {waited:?} ({complaint}); check \
         `kafka.bootstrap_servers`, and `security.protocol` if the cluster wants TLS or SASL"
    )]
    Unreachable { servers: String, waited: Duration, complaint: String },
    #[error("{}", missing_topics(.topics))]
    UnknownTopics { topics: Vec<UnknownTopic> },
    #[error(
        "the dead-letter topic `{topic}` does not exist; create it, or set `dead_letter.create: true`"
    )]
    NoDeadLetterTopic { topic: String },
    #[error("the dead-letter topic `{topic}` cannot be created; create it by hand")]
    CreateDeadLetterTopic { topic: String, source: KafkaError },
}

/// A topic that a route names and the cluster does not have.
#[derive(Debug)]
pub struct UnknownTopic {
    name: String,
    /// The closest existing name, if any is close.
    similar: Option<String>,
}

impl ConsumerContext for KafkaLog {}

/// Checks the cluster. Blocks; run it on a thread that may.
///
/// # Errors
/// What is missing, and how to mend it.
pub fn check(
    settings: &KafkaSettings,
    needs: &Needs,
    stop: &CancellationToken,
) -> Result<(), StartupError> {
    let log = KafkaLog::default();
    let mut config = client_config(settings);
    // A group id is demanded of every consumer; this one never joins.
    config.set("group.id", &settings.group_id).set("allow.auto.create.topics", "false");
    let client: BaseConsumer<KafkaLog> =
        create(&config, log.clone()).map_err(StartupError::Properties)?;
    let existing = existing_topics(&client, settings, &log, stop)?;
    let unknown: Vec<UnknownTopic> = needs
        .topics
        .iter()
        .filter(|topic| !existing.iter().any(|name| topic.selects(name)))
        .filter(|topic| {
            // A pattern reads what will come, too.
            if topic.is_pattern() {
                tracing::warn!(pattern = topic.as_str(), "no topic matches the pattern yet");
            }
            !topic.is_pattern()
        })
        .map(TopicSelector::as_str)
        .map(|name| UnknownTopic { name: name.to_owned(), similar: closest(name, &existing) })
        .collect();
    if !unknown.is_empty() {
        return Err(StartupError::UnknownTopics { topics: unknown });
    }
    if existing.contains(&needs.dead_letter_topic) {
        return Ok(());
    }
    if !needs.create_dead_letter_topic {
        return Err(StartupError::NoDeadLetterTopic { topic: needs.dead_letter_topic.clone() });
    }
    create_topic(settings, &needs.dead_letter_topic)
}

fn existing_topics(
    client: &BaseConsumer<KafkaLog>,
    settings: &KafkaSettings,
    log: &KafkaLog,
    stop: &CancellationToken,
) -> Result<Vec<String>, StartupError> {
    let started = Instant::now();
    while !stop.is_cancelled() {
        // `poll` serves the callbacks that tell us why a connection fails.
        if let Some(Err(error)) = client.poll(Duration::ZERO) {
            tracing::debug!(%error, "kafka at start");
        }
        let left = settings.startup_timeout.saturating_sub(started.elapsed());
        match client.fetch_metadata(None, REQUEST.min(left)) {
            Ok(metadata) => {
                let names = metadata.topics().iter().map(|topic| topic.name().to_owned());
                return Ok(names.collect());
            }
            Err(error) if left.is_zero() => {
                return Err(StartupError::Unreachable {
                    servers: settings.bootstrap_servers.clone(),
                    waited: settings.startup_timeout,
                    complaint: log.last.get().unwrap_or_else(|| error.to_string()),
                });
            }
            Err(error) => tracing::debug!(%error, "waiting for a kafka broker"),
        }
    }
    Err(StartupError::Stopped)
}

fn create_topic(settings: &KafkaSettings, topic: &str) -> Result<(), StartupError> {
    let failed = |source| StartupError::CreateDeadLetterTopic { topic: topic.to_owned(), source };
    let admin: AdminClient<KafkaLog> =
        create(&client_config(settings), KafkaLog::default()).map_err(StartupError::Properties)?;
    // -1: as many replicas as the broker's default says.
    let new = NewTopic::new(topic, DEAD_LETTER_PARTITIONS, TopicReplication::Fixed(-1));
    let options = AdminOptions::new().request_timeout(Some(settings.startup_timeout));
    let results = futures_executor(admin.create_topics([&new], &options)).map_err(failed)?;
    for result in results {
        match result {
            Ok(_) => tracing::info!(topic, "dead-letter topic created"),
            // Another replica of the service was faster.
            Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
            Err((_, code)) => return Err(failed(KafkaError::AdminOp(code))),
        }
    }
    Ok(())
}

/// Waits for a future on a thread that may block.
fn futures_executor<F: Future>(future: F) -> F::Output {
    tokio::runtime::Handle::current().block_on(future)
}

fn closest(topic: &str, existing: &[String]) -> Option<String> {
    existing
        .iter()
        .map(|name| (strsim::jaro_winkler(topic, name), name))
        .filter(|(similarity, _)| *similarity > 0.85)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, name)| name.clone())
}

fn missing_topics(topics: &[UnknownTopic]) -> String {
    let named = topics.iter().map(|topic| match &topic.similar {
        Some(similar) => format!("`{}` (did you mean `{similar}`?)", topic.name),
        None => format!("`{}`", topic.name),
    });
    format!(
        "Kafka has no topic {}; mend `topics` in the routes, or create the topic first (if it \
         exists, the credentials may not be allowed to describe it)",
        named.collect::<Vec<_>>().join(", ")
    )
}
