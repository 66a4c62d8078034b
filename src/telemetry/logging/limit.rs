//! Limits lines that repeat: what says the same thing over and over hides everything else.
//!
//! # Invariants
//! - L1: each place in the code says at most [`LINES`] lines in [`WINDOW_MS`]; what is left out is
//!   counted and told once per window.
//! - L2: what nobody sees without asking (debug, trace) is never limited.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};

use tracing::callsite::Identifier;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

use crate::telemetry::clock;

/// Lines of one place in a window.
const LINES: u64 = 20;
pub(super) const WINDOW_MS: i64 = 10_000;

/// Counts lines by the place in the code that says them.
#[derive(Debug, Default)]
pub(super) struct Limiter {
    places: Mutex<HashMap<Identifier, Said>>,
}

#[derive(Debug)]
struct Said {
    since_ms: i64,
    lines: u64,
    /// What was left out first.
    example: Option<String>,
    left_out: u64,
}

/// Lines that were left out.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct LeftOut {
    pub(super) lines: u64,
    pub(super) like: String,
}

/// A layer that says no more than the limiter admits.
#[derive(Debug)]
pub(super) struct Limited<L> {
    pub(super) lines: L,
    pub(super) limiter: &'static Limiter,
}

impl Limiter {
    /// Whether a line is to be said.
    fn admit(&self, place: Identifier, event: &Event<'_>, now_ms: i64) -> bool {
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        let said = places.entry(place).or_insert_with(|| Said::since(now_ms));
        if now_ms - said.since_ms >= WINDOW_MS && said.left_out == 0 {
            *said = Said::since(now_ms);
        }
        said.lines += 1;
        if said.lines <= LINES {
            return true;
        }
        said.left_out += 1;
        said.example.get_or_insert_with(|| {
            let mut message = Message::default();
            event.record(&mut message);
            message.0
        });
        false
    }

    /// What was left out in windows that are over.
    pub(super) fn take_left_out(&self, now_ms: i64) -> Vec<LeftOut> {
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        let mut all = Vec::new();
        places.retain(|_, said| {
            if now_ms - said.since_ms < WINDOW_MS {
                return true;
            }
            if let Some(like) = said.example.take() {
                all.push(LeftOut { lines: said.left_out, like });
            }
            false
        });
        all
    }
}

impl Said {
    fn since(now_ms: i64) -> Self {
        Self { since_ms: now_ms, lines: 0, example: None, left_out: 0 }
    }
}

impl<S: Subscriber, L: Layer<S>> Layer<S> for Limited<L> {
    fn on_layer(&mut self, subscriber: &mut S) {
        self.lines.on_layer(subscriber);
    }

    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        self.lines.on_new_span(attributes, id, context);
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        self.lines.on_record(id, values, context);
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let metadata = event.metadata();
        let is_limited = *metadata.level() <= Level::INFO;
        if !is_limited || self.limiter.admit(metadata.callsite(), event, clock::now_ms()) {
            self.lines.on_event(event, context);
        }
    }
}

/// The text of an event.
#[derive(Default)]
pub(super) struct Message(pub(super) String);

impl Visit for Message {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            self.0 = format!("{value:?}");
        }
    }
}
