//! One span, from its beginning until it is dropped.

use std::sync::Arc;

use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::trace::v1::span::{Link, SpanKind};
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use opentelemetry_proto::tonic::trace::v1::{Span as Message, SpanFlags, Status};

use super::Outlet;
use crate::model::trace::{TraceParent, Traces};
use crate::telemetry::clock;

/// The kind of failure of what was given up before its end.
const ABANDONED: &str = "abandoned";

/// A request that is under way. Ends when dropped; unless [`Self::end`] says so, as abandoned.
#[derive(Debug)]
pub struct Span {
    outlet: Arc<Outlet>,
    context: TraceParent,
    message: Message,
    is_complete: bool,
}

impl Span {
    pub(super) fn begin(
        outlet: Arc<Outlet>,
        context: TraceParent,
        traces: &Traces,
        name: String,
    ) -> Self {
        let parent = traces.parent();
        // The parent says the same as the only link would.
        let links = if parent.is_some() { &[] } else { traces.links() };
        let message = Message {
            trace_id: context.trace.to_vec(),
            span_id: context.span.to_vec(),
            parent_span_id: parent.map_or_else(Vec::new, |parent| parent.span.to_vec()),
            flags: flags(&context, parent.is_some()),
            name,
            kind: SpanKind::Client.into(),
            start_time_unix_nano: clock::now_ns(),
            links: links.iter().map(link).collect(),
            dropped_links_count: traces.unlinked(),
            ..Message::default()
        };
        Self { outlet, context, message, is_complete: false }
    }

    /// What the request carries on.
    pub fn context(&self) -> TraceParent {
        self.context
    }

    pub fn text(&mut self, name: &str, value: &str) {
        self.message.attributes.push(attribute(name, Value::StringValue(value.to_owned())));
    }

    pub fn number(&mut self, name: &str, value: i64) {
        self.message.attributes.push(attribute(name, Value::IntValue(value)));
    }

    /// It fails, for a reason out of a closed list.
    pub fn fails(&mut self, reason: &str) {
        self.text("error.type", reason);
        let code = StatusCode::Error.into();
        self.message.status = Some(Status { code, message: String::new() });
    }

    pub fn end(mut self) {
        self.is_complete = true;
    }
}

impl Drop for Span {
    fn drop(&mut self) {
        if !self.is_complete {
            self.fails(ABANDONED);
        }
        self.message.end_time_unix_nano = clock::now_ns();
        self.outlet.offer(std::mem::take(&mut self.message));
    }
}

pub(super) fn attribute(name: &str, value: Value) -> KeyValue {
    let value = Some(AnyValue { value: Some(value) });
    KeyValue { key: name.to_owned(), value, ..KeyValue::default() }
}

fn link(record: &TraceParent) -> Link {
    Link {
        trace_id: record.trace.to_vec(),
        span_id: record.span.to_vec(),
        flags: flags(record, true),
        ..Link::default()
    }
}

/// The trace's flags, and whether the span's parent, or the linked span, is another process's.
fn flags(context: &TraceParent, is_remote: bool) -> u32 {
    let known = SpanFlags::ContextHasIsRemoteMask as u32;
    let remote = if is_remote { SpanFlags::ContextIsRemoteMask as u32 } else { 0 };
    u32::from(context.flags) | known | remote
}
