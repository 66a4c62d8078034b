//! Shows how far the demo is: a bar on a terminal, a plain line every second elsewhere. On stderr.

use std::io::{IsTerminal, Write};
use std::time::Duration;

use indicatif::{HumanCount, ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::time::Instant;

const LINE_EVERY: Duration = Duration::from_secs(1);
/// Two lines: on a narrow terminal the counts would not fit beside the bar.
const BAR: &str = "  {wide_bar:.cyan/blue} {percent:>3} %\n  {msg}";

/// How far the demo is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Standing {
    pub(super) produced: u64,
    /// Read, decided and committed by the pipeline.
    pub(super) settled: u64,
    pub(super) delivered: u64,
    pub(super) dead_lettered: u64,
}

/// The display.
#[derive(Debug)]
pub(super) enum Progress {
    Bar(ProgressBar),
    Lines { next: Instant },
    Silent,
}

// === impl Progress ===

impl Progress {
    pub(super) fn of(records: u64) -> Self {
        if !std::io::stderr().is_terminal() {
            return Self::Lines { next: Instant::now() + LINE_EVERY };
        }
        let bar = ProgressBar::with_draw_target(Some(records), ProgressDrawTarget::stderr());
        let style = ProgressStyle::with_template(BAR).unwrap_or_else(|error| {
            tracing::debug!(%error, "the bar keeps its usual looks");
            ProgressStyle::default_bar()
        });
        bar.set_style(style);
        Self::Bar(bar)
    }

    /// Shows a standing. The bar's length is what is settled, not what is produced: the pipeline is
    /// what one watches.
    pub(super) fn show(&mut self, standing: Standing) {
        match self {
            Self::Bar(bar) => {
                bar.set_position(standing.settled);
                bar.set_message(standing.in_words());
            }
            Self::Lines { next } => {
                if Instant::now() >= *next {
                    *next += LINE_EVERY;
                    line(&standing.in_words());
                }
            }
            Self::Silent => {}
        }
    }

    /// Takes the bar away.
    pub(super) fn finish(&self) {
        if let Self::Bar(bar) = self {
            bar.finish_and_clear();
        }
    }
}

// === impl Standing ===

impl Standing {
    fn in_words(self) -> String {
        format!(
            "{} produced, {} settled, {} delivered, {} dead-lettered",
            HumanCount(self.produced),
            HumanCount(self.settled),
            HumanCount(self.delivered),
            HumanCount(self.dead_lettered),
        )
    }
}

fn line(text: &str) {
    // A closed stderr is no reason to stop the demo.
    if let Err(error) = writeln!(std::io::stderr(), "  {text}") {
        tracing::debug!(%error, "progress cannot be shown");
    }
}
