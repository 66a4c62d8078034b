//! Spans of what is asked of others, exported to a collector over OTLP (HTTP, protobuf). Off unless the
//! configuration names one.
//!
//! [`Tracer`] begins a [`Span`], which ends when it is dropped and waits in a queue for the
//! [`Exporter`], a task of its own. A span's parent is the one trace that its records are of, by
//! whose sampled flag it is exported or not; of several traces it has links.
//!
//! Of OpenTelemetry's libraries only the messages are used (`opentelemetry-proto`): the SDK's processor
//! does not tell what it drops and exports from a thread of its own, and its exporter reads the
//! environment behind the configuration.
//!
//! # Invariants
//! - O1: nobody waits for a collector: what finds no room in the queue is dropped.
//! - O2: every span that was begun is counted once, as exported or by why it is not.
//! - O3: what a span tells comes from the configuration and from closed lists, never from a record:
//!   no payload, no key, no token.
//!
//! Source: <https://opentelemetry.io/docs/specs/otlp/>.
//!
//! Not here: what the spans of requests tell (`pipeline::deliver`).

mod collector;
mod export;
mod span;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use opentelemetry_proto::tonic::trace::v1::Span as Message;
use tokio::sync::mpsc::{self, Sender};

use self::collector::Collector;
pub use self::collector::CollectorError;
pub use self::export::{Ending, Exporter};
pub use self::span::Span;
use super::metrics::{Counter, Metrics};
use super::settings::TraceSettings;
use crate::model::trace::{TraceParent, Traces};

/// What may become of a span.
pub(super) const RESULTS: [&str; 4] = ["exported", "rejected", "queue_full", "failed"];
/// The flag of a trace that is kept.
const SAMPLED: u8 = 1;

/// Where spans are begun. Clones share it; the default one is off and costs nothing.
#[derive(Debug, Clone, Default)]
pub struct Tracer(Option<Arc<Outlet>>);

/// What all spans share.
#[derive(Debug)]
struct Outlet {
    queue: Sender<Message>,
    /// How many in a hundred of the traces that begin here are kept.
    sample_percent: u32,
    counters: Counters,
    /// Whether the queue has been found full since something was exported.
    is_full: AtomicBool,
}

/// Spans by what became of them.
#[derive(Debug, Clone)]
struct Counters {
    exported: Counter,
    /// The collector has taken the others of their batch.
    rejected: Counter,
    queue_full: Counter,
    failed: Counter,
}

/// Makes the two ends of the queue.
pub fn start(
    settings: &TraceSettings,
    metrics: &Metrics,
) -> Result<(Tracer, Exporter), CollectorError> {
    let (queue, spans) = mpsc::channel(settings.max_queue);
    let outlet = Arc::new(Outlet {
        queue,
        sample_percent: settings.sample_percent,
        counters: Counters::of(metrics),
        is_full: AtomicBool::new(false),
    });
    let collector = Collector::new(settings)?;
    let exporter = Exporter::new(spans, collector, Arc::clone(&outlet), settings.linger);
    Ok((Tracer(Some(outlet)), exporter))
}

// === impl Tracer ===

impl Tracer {
    pub fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// Begins a span on behalf of records of these traces. `None` when nobody keeps it: the records'
    /// own context goes on then.
    pub fn begin(&self, traces: &Traces, name: impl FnOnce() -> String) -> Option<Span> {
        let outlet = self.0.as_ref()?;
        let parent = traces.parent();
        let span = rand::random::<u64>().max(1).to_be_bytes();
        let context = match parent {
            Some(parent) => parent.is_sampled().then_some(TraceParent { span, ..parent }),
            None => outlet.sample().map(|trace| TraceParent { trace, span, flags: SAMPLED }),
        }?;
        Some(Span::begin(Arc::clone(outlet), context, traces, name()))
    }
}

// === impl Outlet ===

impl Outlet {
    /// The ID of a trace that begins here, if it is kept. By the ID's end, as everybody decides who
    /// keeps a share of all traces.
    fn sample(&self) -> Option<[u8; 16]> {
        let id = rand::random::<u128>().max(1);
        let kept = u128::from(self.sample_percent) << 64;
        ((id & u128::from(u64::MAX)) * 100 < kept).then(|| id.to_be_bytes())
    }

    /// A span has ended (O1).
    fn offer(&self, span: Message) {
        match self.queue.try_send(span) {
            Ok(()) => {}
            Err(mpsc::error::TrySendError::Full(_)) => {
                self.counters.queue_full.inc();
                if !self.is_full.swap(true, Ordering::Relaxed) {
                    tracing::warn!(
                        remedy = "raise `traces.max_queue`, lower `traces.sample`, or look after \
                            the collector",
                        "spans are dropped: the collector takes fewer than there are"
                    );
                }
            }
            Err(mpsc::error::TrySendError::Closed(_)) => self.counters.failed.inc(),
        }
    }
}

// === impl Counters ===

impl Counters {
    fn of(metrics: &Metrics) -> Self {
        let [exported, rejected, queue_full, failed] =
            RESULTS.map(|result| metrics.spans.with_label_values(&[result]));
        Self { exported, rejected, queue_full, failed }
    }
}

#[cfg(test)]
mod tests;
