//! Which records a request is made for, and what its span tells of it.
//!
//! Attributes are those of OpenTelemetry's semantic conventions where there is one. `url.full` is not
//! among them: addresses hold keys of members' segments and of metrics.
//!
//! Source: <https://opentelemetry.io/docs/specs/semconv/http/http-spans/>.

use std::sync::Arc;

use crate::launchdarkly::answer::{Answered, ApiError};
use crate::launchdarkly::endpoint::{Endpoint, Server};
use crate::model::batch::EventBatch;
use crate::model::progress::Slot;
use crate::model::trace::{TraceParent, Traces};
use crate::telemetry::traces::{Span, Tracer};

/// The records that a request is made for.
#[derive(Debug, Clone, Default)]
pub(super) struct Cause {
    traces: Traces,
    records: usize,
    /// Where all of them are from; `None` when that is several places.
    topic: Option<Arc<str>>,
    partition: Option<i32>,
}

/// Begins the spans of a lane's requests.
#[derive(Debug)]
pub(super) struct RequestSpans {
    tracer: Tracer,
    target: String,
    operation: &'static str,
    server: Option<Server>,
}

// === impl Cause ===

impl Cause {
    pub(super) fn of_batch(batch: &EventBatch) -> Self {
        Self {
            traces: batch.traces.clone(),
            records: batch.records(),
            topic: Some(Arc::clone(&batch.partition.topic)),
            partition: Some(batch.partition.number),
        }
    }

    /// With `links`, each trace is remembered.
    pub(super) fn of_slots<'s>(slots: impl Iterator<Item = &'s Slot>, links: bool) -> Self {
        let slots: Vec<&Slot> = slots.collect();
        let first = slots.first().map(|slot| &slot.partition);
        let topic = first.map(|first| &first.topic);
        let is_one_topic = slots.iter().all(|slot| Some(&slot.partition.topic) == topic);
        let is_one_place = slots.iter().all(|slot| Some(&slot.partition) == first);
        Self {
            traces: Traces::of(slots.iter().map(|slot| slot.trace), links),
            records: slots.len(),
            topic: topic.filter(|_| is_one_topic).cloned(),
            partition: first.filter(|_| is_one_place).map(|first| first.number),
        }
    }
}

// === impl RequestSpans ===

impl RequestSpans {
    pub(super) fn new(tracer: Tracer, target: &str, operation: &'static str) -> Self {
        Self { tracer, target: target.to_owned(), operation, server: None }
    }

    /// Tells where the requests go.
    pub(super) fn to(self, server: Server) -> Self {
        Self { server: Some(server), ..self }
    }

    /// Whether spans want to know each trace.
    pub(super) fn links(&self) -> bool {
        self.tracer.is_on()
    }

    /// Begins the span of a request that was made so often before; `None` when nobody wants it.
    pub(super) fn begin(&self, endpoint: Endpoint, cause: &Cause, before: u32) -> Option<Span> {
        let (method, template) = (endpoint.method(), endpoint.template());
        let mut span = self.tracer.begin(&cause.traces, || format!("{method} {template}"))?;
        span.text("http.request.method", method);
        span.text("url.template", template);
        if let Some(Server { host, port }) = &self.server {
            span.text("server.address", host);
            span.number("server.port", i64::from(*port));
        }
        if before > 0 {
            span.number("http.request.resend_count", i64::from(before));
        }
        span.text("ldsink.target", &self.target);
        span.text("ldsink.operation", self.operation);
        cause.tell(&mut span);
        Some(span)
    }
}

impl Cause {
    fn tell(&self, span: &mut Span) {
        if self.records == 0 {
            return;
        }
        span.text("messaging.system", "kafka");
        if let Some(topic) = &self.topic {
            span.text("messaging.destination.name", topic);
        }
        if let Some(partition) = self.partition {
            span.text("messaging.destination.partition.id", &partition.to_string());
        }
        let records = i64::try_from(self.records).unwrap_or(i64::MAX);
        span.number("messaging.batch.message_count", records);
    }

    /// What the request carries on: the context of its span, or else of its records.
    pub(super) fn context(&self, span: Option<&Span>) -> Option<TraceParent> {
        span.map_or_else(|| self.traces.parent(), |span| Some(span.context()))
    }
}

/// The request of a span is answered, or there will be no answer.
pub(super) fn answered<T>(span: Option<Span>, answer: &Result<Answered<T>, ApiError>) {
    let Some(mut span) = span else { return };
    match answer {
        Ok(Answered { status, .. }) => {
            span.number("http.response.status_code", i64::from(*status));
        }
        Err(ApiError { status: Some(status), .. }) => {
            span.number("http.response.status_code", i64::from(*status));
            span.fails(&status.to_string());
        }
        Err(ApiError { status: None, class, .. }) => span.fails(class.as_str()),
    }
    span.end();
}
