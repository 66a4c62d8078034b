//! Produces the shop's changes at a steady pace, and writes its own record of them.
//!
//! # Invariants
//! - G1: a record is in the manifest before it is handed to the producer.
//! - G2: the producer is idempotent: a retry of ours would be an order that counts twice, and no
//!   fault of the pipeline.
//! - G3: a partition whose window is full is waited for (`window` says why).
//!
//! Not here: what changes (`shop`).

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rdkafka::Message;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseProducer, BaseRecord, DeliveryResult, Producer, ProducerContext};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::broker::{ORDERS, PARTITIONS};
use super::envelope::write_key;
use super::manifest::{Entry, Manifest, OrderId, Place};
use super::observer::Seen;
use super::shop::{Drawn, Shop};
use super::window::{Window, due};
use crate::kafka::connection::{KafkaLog, client_config};
use crate::kafka::settings::KafkaSettings;
use crate::telemetry::clock::now_ms;

/// The longest wait when nothing is due: short against the pipeline's own delays.
const IDLE: Duration = Duration::from_millis(1);
/// Records handed over before acknowledgements are served again.
const BURST: u64 = 256;
/// For the last acknowledgements of a broker in this very process.
const FLUSH: Duration = Duration::from_secs(10);

/// How much to produce, and how fast.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    /// `None`: until told to stop.
    pub(super) records: Option<u64>,
    pub(super) per_second: u32,
}

/// The generator's state between two stretches of work.
pub(super) struct Generator {
    shop: Shop,
    producer: BaseProducer<Receipts>,
    manifest: Arc<Mutex<Manifest>>,
    seen: Arc<Mutex<Seen>>,
    /// By partition.
    windows: Vec<Window>,
    /// Drawn and not sent yet; its key and value are in the buffers.
    held: Option<Drawn>,
    key: String,
    value: String,
}

/// The embedded broker did not take a change.
#[derive(Debug, thiserror::Error)]
pub enum GeneratorError {
    #[error("the generator's producer cannot be created")]
    Create(#[source] KafkaError),
    #[error("the embedded broker did not take a change")]
    Produce(#[source] KafkaError),
}

/// Collects acknowledgements: callbacks own no state.
struct Receipts {
    log: KafkaLog,
    inbox: Mutex<Vec<Result<Receipt, KafkaError>>>,
}

/// The broker's acknowledgement of a record.
struct Receipt {
    number: usize,
    place: Place,
    bytes: usize,
}

// === impl Generator ===

impl Generator {
    pub(super) fn new(
        settings: &KafkaSettings,
        manifest: Arc<Mutex<Manifest>>,
        seen: Arc<Mutex<Seen>>,
    ) -> Result<Self, GeneratorError> {
        let mut config = client_config(settings);
        config.set("enable.idempotence", "true").set("linger.ms", "5");
        let receipts = Receipts { log: KafkaLog::default(), inbox: Mutex::default() };
        let producer = config.create_with_context(receipts).map_err(GeneratorError::Create)?;
        Ok(Self {
            shop: Shop::open(),
            producer,
            manifest,
            seen,
            windows: (0..PARTITIONS).map(|_| Window::default()).collect(),
            held: None,
            key: String::new(),
            value: String::new(),
        })
    }

    /// Produces until the pace's records are acknowledged or `stop` is cancelled. Blocks.
    pub(super) fn run(
        &mut self,
        pace: Pace,
        stop: &CancellationToken,
    ) -> Result<(), GeneratorError> {
        let (started, mut sent) = (Instant::now(), 0);
        let limit = pace.records.unwrap_or(u64::MAX);
        while sent < limit && !stop.is_cancelled() {
            let wanted = due(started.elapsed(), pace.per_second).min(limit).min(sent + BURST);
            let before = sent;
            while sent < wanted && self.send_next()? {
                sent += 1;
            }
            let idle = if sent > before { Duration::ZERO } else { IDLE };
            self.serve(idle)?;
        }
        self.producer.flush(FLUSH).map_err(GeneratorError::Produce)?;
        self.serve(Duration::ZERO)
    }

    /// Sends the next change. Gives whether there was room for it.
    fn send_next(&mut self) -> Result<bool, GeneratorError> {
        let now = now_ms();
        let drawn = match self.held.take() {
            Some(held) => held,
            None => self.shop.next(now, &mut self.value),
        };
        let (partition, window) = window_of(drawn.order, &mut self.windows);
        if window.as_ref().is_some_and(|window| !window.has_room()) {
            self.held = Some(drawn);
            return Ok(false);
        }
        write_key(drawn.order, &mut self.key);
        let entry = Entry { order: drawn.order, fate: drawn.fate, produced_at_ms: now };
        let number = lock(&self.manifest).note(entry);
        let mut record = BaseRecord::with_opaque_to(ORDERS, number)
            .partition(partition)
            .key(self.key.as_str())
            .timestamp(now);
        // A tombstone has no value, which is not the same as an empty one.
        if !self.value.is_empty() {
            record = record.payload(self.value.as_str());
        }
        if let Some(window) = window {
            window.sent(self.key.len() + self.value.len());
        }
        while let Err((error, refused)) = self.producer.send(record) {
            if error.rdkafka_error_code() != Some(RDKafkaErrorCode::QueueFull) {
                return Err(GeneratorError::Produce(error));
            }
            self.producer.poll(IDLE);
            record = refused;
        }
        Ok(true)
    }

    /// Takes acknowledgements and commits into account.
    fn serve(&mut self, wait: Duration) -> Result<(), GeneratorError> {
        self.producer.poll(wait);
        let receipts = std::mem::take(&mut *lock(&self.producer.context().inbox));
        for receipt in receipts {
            let Receipt { number, place, bytes } = receipt.map_err(GeneratorError::Produce)?;
            lock(&self.manifest).place(number, place);
            let window = usize::try_from(place.partition).ok();
            if let Some(window) = window.and_then(|partition| self.windows.get_mut(partition)) {
                window.acknowledged(place.offset, bytes);
            }
        }
        for (window, committed) in self.windows.iter_mut().zip(&lock(&self.seen).committed) {
            window.committed(*committed);
        }
        Ok(())
    }
}

impl std::fmt::Debug for Generator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Generator").field("shop", &self.shop).finish_non_exhaustive()
    }
}

/// All changes of an order go to one partition, in order.
fn window_of(order: OrderId, windows: &mut [Window]) -> (i32, Option<&mut Window>) {
    let partition = order % u64::from(PARTITIONS.unsigned_abs());
    let window = usize::try_from(partition).ok().and_then(|at| windows.get_mut(at));
    (i32::try_from(partition).unwrap_or(0), window)
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

// === impl Receipts ===

impl ClientContext for Receipts {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.log.log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.log.error(error, reason);
    }
}

impl ProducerContext for Receipts {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, number: usize) {
        let receipt = match result {
            Ok(message) => Ok(Receipt {
                number,
                place: Place { partition: message.partition(), offset: message.offset() },
                bytes: message.payload_len() + message.key_len(),
            }),
            Err((error, _)) => Err(error.clone()),
        };
        lock(&self.inbox).push(receipt);
    }
}

#[cfg(test)]
mod tests {
    use rdkafka::consumer::{BaseConsumer, Consumer};

    use super::*;
    use crate::demo::{broker, observer, service};
    use crate::runtime::tasks::TaskSet;

    /// Ten times what the broker keeps: without the window most of it would be forgotten.
    const MUCH: Pace = Pace { records: Some(300_000), per_second: 1_000_000 };

    fn earliest(settings: &KafkaSettings) -> Vec<i64> {
        let mut config = client_config(settings);
        config.set("group.id", "ldsink-test").set("group.protocol", "classic");
        let consumer: BaseConsumer = config.create().unwrap();
        let low = |partition| consumer.fetch_watermarks(ORDERS, partition, FLUSH).unwrap().0;
        (0..PARTITIONS).map(low).collect()
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn nobody_reads_and_yet_the_broker_forgets_nothing_g3() {
        let over = CancellationToken::new();
        let (tasks, brokers) = (TaskSet::new(over.clone()), TaskSet::new(over.clone()));
        let last = CancellationToken::new();
        let kafka = broker::start("dead".to_owned(), &brokers, last.clone()).await.unwrap();
        let settings = service::configuration(&kafka, "http://127.0.0.1:1").unwrap().kafka;
        let seen = observer::start(&settings, "dead".to_owned(), &tasks, over.clone()).unwrap();
        let manifest = Arc::<Mutex<Manifest>>::default();
        let mut generator = Generator::new(&settings, Arc::clone(&manifest), seen).unwrap();
        let stop = over.clone();
        tasks.spawn_blocking("generator", move || generator.run(MUCH, &stop).unwrap());

        let produced = || lock(&manifest).entries().len();
        let started = Instant::now();
        let mut known = 0;
        // It has come to a halt when nothing was added between two looks.
        while known == 0 || produced() > known {
            assert!(started.elapsed() < Duration::from_secs(60), "it goes on: {}", produced());
            known = produced();
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        let earliest = tokio::task::spawn_blocking(move || earliest(&settings)).await.unwrap();
        over.cancel();
        assert!(tasks.join().await.is_empty());
        last.cancel();
        assert!(brokers.join().await.is_empty());
        assert!((10_000..30_000).contains(&known), "{known} produced");
        assert_eq!(earliest, [0; 6], "the first offsets that the broker still has");
    }
}
