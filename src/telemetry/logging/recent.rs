//! Remembers the last warnings and errors, as the log has them, for the status page.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Mutex, PoisonError};

use serde::Serialize;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

use crate::telemetry::clock;

/// Warnings and errors that are remembered.
const NOTICES: usize = 50;

/// What the log said that somebody may have to act on.
#[derive(Debug, Clone, Serialize)]
pub struct Notice {
    /// When it was last said.
    pub at_ms: i64,
    pub level: &'static str,
    pub message: String,
    pub remedy: Option<String>,
    /// The other fields, as `name=value`.
    pub details: Vec<String>,
    /// How often it was said in a row.
    pub times: u64,
}

/// The last notices, the newest first.
#[derive(Debug, Default)]
pub(super) struct Recent(Mutex<VecDeque<Notice>>);

/// The layer that fills it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Remember(pub(super) &'static Recent);

impl Recent {
    pub(super) fn list(&self) -> Vec<Notice> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }

    fn note(&self, notice: Notice) {
        let mut notices = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(last) = notices.front_mut().filter(|last| last.message == notice.message) {
            *last = Notice { times: last.times + 1, ..notice };
            return;
        }
        notices.truncate(NOTICES - 1);
        notices.push_front(notice);
    }
}

impl<S: Subscriber> Layer<S> for Remember {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let level = *event.metadata().level();
        if level > Level::WARN {
            return;
        }
        let mut notice = Notice {
            at_ms: clock::now_ms(),
            level: if level == Level::ERROR { "error" } else { "warn" },
            message: String::new(),
            remedy: None,
            details: Vec::new(),
            times: 1,
        };
        event.record(&mut notice);
        self.0.note(notice);
    }
}

impl Visit for Notice {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.record_text(field.name(), format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.record_text(field.name(), value.to_owned());
    }
}

impl Notice {
    fn record_text(&mut self, name: &str, text: String) {
        match name {
            "message" => self.message = text,
            "remedy" => self.remedy = Some(text),
            // What the `log` crate's records bring along says nothing here.
            name if name.starts_with("log.") => {}
            name => self.details.push(format!("{name}={text}")),
        }
    }
}
