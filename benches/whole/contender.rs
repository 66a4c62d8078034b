//! Who is measured, and how each is told to do the same job: batches of the same size, as many requests
//! at once, progress committed to Kafka after delivery.
//!
//! Not here: how the others are built and told what to do (`ldsink`, `telegraf`, `connect`).

use std::path::Path;

use crate::arguments::Yardstick;
use crate::process::Process;
use crate::record::Shape;
use crate::workload::Workload;
use crate::{connect, ldsink, telegraf};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Contender {
    Ldsink,
    Floor,
    Raw,
    /// Stands for the engines written in Go.
    Telegraf,
    /// Kafka Connect's runtime with a sink of our own, behind its JSON converter.
    Connect,
    /// The same sink, which reads the bytes by itself.
    ConnectBytes,
}

/// Where a contender reads and writes.
#[derive(Debug)]
pub(crate) struct Place<'p> {
    pub(crate) workload: &'p Workload,
    pub(crate) topic: &'p str,
    pub(crate) bootstrap: &'p str,
    pub(crate) sink: &'p str,
    /// For its configuration and its log.
    pub(crate) directory: &'p Path,
}

// === impl Contender ===

impl Contender {
    pub(crate) const ALL: [Self; 6] =
        [Self::Ldsink, Self::Floor, Self::Raw, Self::Telegraf, Self::Connect, Self::ConnectBytes];

    /// As it is chosen on the command line.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Ldsink => "ldsink",
            Self::Floor => "floor",
            Self::Raw => "raw",
            Self::Telegraf => "telegraf",
            Self::Connect => "connect",
            Self::ConnectBytes => "connect-bytes",
        }
    }

    /// As the table calls it.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Ldsink => "ldsink",
            Self::Floor => "*floor*: a minimal loop",
            Self::Raw => "*raw*: only counts",
            Self::Telegraf => "Telegraf",
            Self::Connect => "Connect, JSON converter, own minimal HTTP sink",
            Self::ConnectBytes => "Connect, raw bytes, own minimal HTTP sink",
        }
    }

    /// What it does for a workload, if that says anything about it.
    pub(crate) fn takes_part(self, workload: &Workload) -> bool {
        let of_events = workload.shape != Shape::Members && !workload.is_backlog();
        match self {
            Self::Ldsink => true,
            Self::Floor | Self::Telegraf | Self::Connect | Self::ConnectBytes => {
                of_events && workload.routes == 1
            }
            Self::Raw => {
                of_events
                    && !workload.gzip
                    && workload.routes == 1
                    && workload.delay_ms < 10
                    && workload.steady.is_none()
            }
        }
    }

    /// Builds what has to be built.
    ///
    /// # Errors
    /// What is missing, in words for the table.
    pub(crate) fn prepare(self) -> Result<(), String> {
        match self {
            Self::Ldsink | Self::Floor | Self::Raw => Ok(()),
            Self::Telegraf => telegraf::build(),
            Self::Connect | Self::ConnectBytes => connect::build(),
        }
    }

    pub(crate) fn start(self, place: &Place<'_>) -> Process {
        match self {
            Self::Ldsink => ldsink::start(place),
            Self::Floor => yardstick("as-floor", place),
            Self::Raw => yardstick("as-raw", place),
            Self::Telegraf => telegraf::start(place),
            Self::Connect => connect::start(place, connect::Converter::Json),
            Self::ConnectBytes => connect::start(place, connect::Converter::Bytes),
        }
    }
}

// === impl Place ===

impl Place<'_> {
    /// What the contender says.
    pub(crate) fn log(&self) -> std::path::PathBuf {
        self.directory.join("contender.log")
    }
}

fn yardstick(role: &str, place: &Place<'_>) -> Process {
    let Place { workload, topic, bootstrap, sink, .. } = place;
    let settings = Yardstick {
        bootstrap: (*bootstrap).to_owned(),
        topic: (*topic).to_owned(),
        sink: (*sink).to_owned(),
        gzip: workload.gzip,
        debezium: workload.shape != Shape::Plain,
    };
    let Yardstick { bootstrap, topic, sink, gzip, debezium } = settings;
    let words = [role.to_owned(), bootstrap, topic, sink, gzip.to_string(), debezium.to_string()];
    Process::of_ourselves(&words).0
}
