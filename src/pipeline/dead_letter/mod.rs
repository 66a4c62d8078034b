//! Writes refused records to the dead-letter topic, with the reason, and only then settles them.
//!
//! A record refused on the consumer thread comes with its bytes. One refused by LaunchDarkly has
//! left our memory but not Kafka, so the original is fetched again by its offset: dead letters are
//! rare, and keeping every record's bytes until its batch is accepted would double what is in
//! flight.
//!
//! # Invariants
//! - X1: a dead letter is settled only after Kafka acknowledged it (P2).
//! - X2: key, value, headers and timestamp are those of the original record.
//! - X3: no credentials in any header: details come shortened and without the token.
//!
//! Not here: why a record is refused (`decode`, `route`, `deliver`).

mod fetch;
mod letter;

use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::Duration;

use bytes::Bytes;
use rdkafka::config::ClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{FutureProducer, FutureRecord};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::{RwLock, Semaphore};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use self::fetch::{FetchError, Fetcher};
use self::letter::{Circumstances, Letter};
use crate::kafka::connection::{CreateError, KafkaLog, client_config, create};
use crate::kafka::settings::KafkaSettings;
use crate::model::outcome::{DeadLetter, DeadLetterOrigin, Refusal, RefusalReason};
use crate::model::progress::{Settlement, Slot};
use crate::model::record::OwnedRecord;
use crate::model::routes::TopicMapping;
use crate::runtime::failpoint::{self, Failpoint};
use crate::runtime::tasks::TaskSet;
use crate::telemetry::board::{Board, LetterView};
use crate::telemetry::clock;
use crate::telemetry::health::Health;
use crate::telemetry::metrics::Metrics;

/// Dead letters under way at once; what waits beyond that is bounded by the in-flight budget.
const CONCURRENCY: usize = 256;
/// Between attempts while the topic cannot be written.
const RETRY_PAUSE: Duration = Duration::from_secs(1);
/// The namespace of hashed keys.
const KEY_NAMESPACE: Uuid = Uuid::from_u128(0x3c0d_7a11_90b4_4e2f_a6d5_0c2b_8e9f_71a3);
/// The part's name in `/ready`.
const HEALTH_PART: &str = "dead_letter";

/// Tells what the records of a topic are mapped by.
pub type MappingOf = Box<dyn Fn(&str) -> Option<TopicMapping> + Send + Sync>;

/// What the dead-letter stage reports to.
#[derive(Debug, Clone)]
pub struct DeadLetterReports {
    pub settlements: Sender<Settlement>,
    pub health: Arc<Health>,
    pub metrics: Metrics,
    pub board: Board,
}

/// Writes dead letters.
pub struct DeadLetters {
    topic: String,
    mapping_of: MappingOf,
    producer: FutureProducer<KafkaLog>,
    fetcher: Fetcher,
    /// Shared by letters that may travel together; a letter that has to go alone takes it for itself.
    company: RwLock<()>,
    reports: DeadLetterReports,
    abandoned: CancellationToken,
}

/// How a letter is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Travel {
    /// With others in one batch, as they come.
    Together,
    Alone,
}

/// The dead-letter producer cannot be created.
#[derive(Debug, thiserror::Error)]
#[error("the dead-letter producer cannot be created")]
pub struct DeadLetterError(#[from] CreateError);

impl DeadLetters {
    pub fn new(
        settings: &KafkaSettings,
        topic: String,
        mapping_of: MappingOf,
        reports: DeadLetterReports,
        abandoned: CancellationToken,
    ) -> Result<Self, DeadLetterError> {
        let producer = create(&producer_config(settings), KafkaLog::default())?;
        let fetcher = Fetcher::new(settings.clone());
        for reason in RefusalReason::ALL {
            // A series that begins at its first dead letter would hide that one from `increase()`.
            reports.metrics.dead_letters.with_label_values(&[reason.as_str()]);
        }
        let company = RwLock::default();
        Ok(Self { topic, mapping_of, producer, fetcher, company, reports, abandoned })
    }

    /// Writes dead letters until the channel closes.
    pub async fn run(self: Arc<Self>, mut letters: UnboundedReceiver<DeadLetter>, tasks: TaskSet) {
        let slots = Arc::new(Semaphore::new(CONCURRENCY));
        while let Ok(slot) = Arc::clone(&slots).acquire_owned().await {
            let Some(letter) = letters.recv().await else { break };
            let stage = Arc::clone(&self);
            tasks.spawn("dead_letter", async move {
                let fence = letter.slot.fence.clone();
                tokio::select! {
                    () = stage.write(letter) => {}
                    // Whoever reads the record now writes its dead letter, too.
                    () = fence.fallen() => {}
                    () = stage.abandoned.cancelled() => {}
                }
                drop(slot);
            });
        }
    }

    async fn write(&self, dead: DeadLetter) {
        let (reason, now_ms) = (dead.refusal.reason, clock::now_ms());
        let record = match dead.origin {
            DeadLetterOrigin::Copied(record) => record,
            DeadLetterOrigin::InKafka { ref sent } => self.original(&dead.slot, sent).await,
        };
        let mapping = (self.mapping_of)(&dead.slot.partition.topic);
        let told = Circumstances {
            refusal: &dead.refusal,
            routes: dead.slot.routes,
            mapping: mapping.as_ref(),
            now_ms,
        };
        let mut letter = Letter::new(record, told);
        let mut travel = Travel::Together;
        while let Err(error) = self.produce(&letter, travel).await {
            let too_large =
                error.rdkafka_error_code() == Some(RDKafkaErrorCode::MessageSizeTooLarge);
            // The topic's limit is for a batch of letters, and the client knows nothing of it.
            if too_large && travel == Travel::Together {
                travel = Travel::Alone;
                continue;
            }
            if too_large && letter.shorten() {
                continue;
            }
            self.note_failure(&error);
            tokio::time::sleep(RETRY_PAUSE).await;
        }
        failpoint::reach(Failpoint::DeadLetterNotSettled);
        if self.reports.health.heal(HEALTH_PART) {
            tracing::info!(topic = self.topic, "dead letters are written again");
        }
        self.reports.metrics.dead_letters.with_label_values(&[reason.as_str()]).inc();
        tracing::debug!(slot = ?dead.slot, reason = reason.as_str(), "dead letter written");
        self.reports.board.note_letter(view(&dead.slot, &dead.refusal, letter.key(), now_ms));
        if self.reports.settlements.send(Settlement::DeadLetter { slot: dead.slot }).is_err() {
            tracing::debug!("nobody waits for settlements any more");
        }
    }

    /// Fetches a record that only Kafka still has; waits as long as Kafka cannot be reached.
    async fn original(&self, slot: &Slot, sent: &Bytes) -> OwnedRecord {
        let Slot { partition, offset, .. } = slot;
        loop {
            match self.fetcher.fetch(partition.clone(), *offset).await {
                Ok(record) => return record,
                // Retention was faster. What we sent is the next best thing to keep.
                Err(FetchError::Gone) => return letter::substitute(slot, sent),
                Err(FetchError::Kafka(error)) => {
                    self.note_failure(&error);
                    tokio::time::sleep(RETRY_PAUSE).await;
                }
            }
        }
    }

    async fn produce(&self, letter: &Letter, travel: Travel) -> Result<(), KafkaError> {
        let headers = letter.headers();
        let mut message: FutureRecord<'_, [u8], [u8]> =
            FutureRecord::to(&self.topic).headers(headers);
        if let Some(key) = letter.key() {
            message = message.key(key);
        }
        if let Some(value) = letter.value() {
            message = message.payload(value);
        }
        if let Some(timestamp) = letter.timestamp_ms() {
            message = message.timestamp(timestamp);
        }
        // The future resolves with the delivery report.
        let sent = async {
            self.producer.send(message, Duration::from_secs(1)).await.map(drop).map_err(|(e, _)| e)
        };
        match travel {
            Travel::Together => {
                let _company = self.company.read().await;
                sent.await
            }
            Travel::Alone => {
                let _alone = self.company.write().await;
                sent.await
            }
        }
    }

    fn note_failure(&self, error: &KafkaError) {
        self.reports.metrics.dead_letter_failures.inc();
        let reason = format!("dead letters cannot be written to `{}`: {error}", self.topic);
        if self.reports.health.fault(HEALTH_PART, reason) {
            tracing::error!(
                topic = self.topic,
                %error,
                "dead letters cannot be written; their records wait"
            );
        }
    }
}

impl std::fmt::Debug for DeadLetters {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DeadLetters").field("topic", &self.topic).finish_non_exhaustive()
    }
}

/// A dead letter as people may see it: where it is, and nothing of what it says.
fn view(slot: &Slot, refusal: &Refusal, key: Option<&[u8]>, now_ms: i64) -> LetterView {
    let hash =
        |key| Uuid::new_v5(&KEY_NAMESPACE, key).simple().to_string().chars().take(12).collect();
    LetterView {
        at_ms: now_ms,
        topic: slot.partition.topic.to_string(),
        partition: slot.partition.number,
        offset: slot.offset,
        key_hash: key.map(hash),
        reason: refusal.reason.as_str(),
        stage: refusal.stage.as_str(),
        route: refusal.route.clone(),
        status: refusal.status,
        remedy: refusal.reason.remedy(),
    }
}

fn producer_config(settings: &KafkaSettings) -> ClientConfig {
    let mut config = client_config(settings);
    config
        .set("enable.idempotence", "true") // Also asks for acknowledgement by all replicas.
        .set("linger.ms", "5")
        .set("queue.buffering.max.kbytes", "65536") // The default is a gigabyte.
        // Each attempt is told and repeated by us, so it need not hide for the default of minutes.
        .set("delivery.timeout.ms", "20000")
        // Headers come on top of what the source topic allowed; the broker has the last word.
        .set("message.max.bytes", "20000000")
        // Keys land where the Java clients would put them.
        .set("partitioner", "murmur2_random");
    config
}
