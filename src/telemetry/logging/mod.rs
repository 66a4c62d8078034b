//! Sets up the log: to stderr, as text or JSON, so that stdout stays free for results.
//!
//! The log belongs to the process: what it remembers and what is limited is shared by all services in
//! it.

mod limit;
mod recent;

use std::error::Error;
use std::fmt;
use std::io::IsTerminal;
use std::sync::{LazyLock, OnceLock};
use std::time::Duration;

use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry, reload};

use self::limit::{LeftOut, Limited, Limiter, WINDOW_MS};
pub use self::recent::Notice;
use self::recent::{Recent, Remember};
use super::clock;
use super::settings::{LogFormat, LogSettings};

static LIMITER: LazyLock<Limiter> = LazyLock::new(Limiter::default);
static RECENT: LazyLock<Recent> = LazyLock::new(Recent::default);
static FILTER: OnceLock<reload::Handle<EnvFilter, Registry>> = OnceLock::new();

/// The levels by name.
pub const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

/// Shows an error with its whole chain of causes on one line.
#[derive(Debug)]
pub struct Chain<'e>(pub &'e dyn Error);

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut cause = self.0.source();
        while let Some(inner) = cause {
            write!(f, ": {inner}")?;
            cause = inner.source();
        }
        Ok(())
    }
}

/// Why a text says nothing about what is logged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FilterError {
    #[error("`{0}` names no level; one of off, error, warn, info, debug, trace")]
    Level(String),
    #[error("not a log filter; write a level, or levels by module: info,ldsink::pipeline=debug")]
    Form,
    #[error("the log was not set up by this process")]
    Absent,
}

/// Starts logging. Later calls change nothing, so that tests may share a process.
pub fn start(settings: &LogSettings) {
    let filter = EnvFilter::builder().parse_lossy(&settings.filter);
    let (filter, handle) = reload::Layer::new(filter);
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    let lines = match settings.format {
        LogFormat::Text => lines.boxed(),
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
    };
    // One filter for all: filters of single layers keep their verdict by thread, and a line may meet
    // that of another one.
    let log = tracing_subscriber::registry()
        .with(filter)
        .with(Limited { lines, limiter: &LIMITER })
        .with(Remember(&RECENT));
    if log.try_init().is_err() {
        tracing::debug!("logging was started before");
    } else if FILTER.set(handle).is_err() {
        tracing::debug!("the log's filter was set before");
    }
}

/// The word in a filter that looks like a level and is none. The filter's own parser takes any bare
/// word for a module's name, so `inof` would silence everything else.
pub fn unknown_level(filter: &str) -> Option<&str> {
    let is_bare = |part: &&str| !part.is_empty() && !part.contains(['=', '[', ':']);
    let mut bare = filter.split(',').map(str::trim).filter(is_bare);
    bare.find(|word| !LEVELS.contains(&word.to_lowercase().as_str()))
}

/// Changes what is logged from now on.
///
/// # Errors
/// The text is no filter; nothing has changed then.
pub fn set_filter(text: &str) -> Result<(), FilterError> {
    if let Some(word) = unknown_level(text) {
        return Err(FilterError::Level(word.to_owned()));
    }
    if text.trim().is_empty() {
        return Err(FilterError::Form);
    }
    let filter = EnvFilter::builder().parse(text).map_err(|_form| FilterError::Form)?;
    let handle = FILTER.get().ok_or(FilterError::Absent)?;
    handle.reload(filter).map_err(|_gone| FilterError::Absent)
}

/// The last warnings and errors, the newest first.
pub fn recent() -> Vec<Notice> {
    RECENT.list()
}

/// How often [`tell_left_out`] has something to say.
pub const LIMIT_WINDOW: Duration = Duration::from_millis(WINDOW_MS.unsigned_abs());

/// Says what was left out since it was last called.
pub fn tell_left_out() {
    for LeftOut { lines, like } in LIMITER.take_left_out(clock::now_ms()) {
        tracing::warn!(lines, like, "lines that repeat were left out");
    }
}

#[cfg(test)]
mod tests;
