//! The configuration file: read, checked, and turned into the settings of every part.
//!
//! Two stages, two types. `raw` is the file as written, values with their places;
//! [`Config`] is the file as usable, and only it leaves this module. In between every section has
//! a reader that notes all its mistakes, so a person mends the file in one go (P8).
//!
//! ```text
//! text → raw (YAML, places) → interpolate (environment) → section (types, ranges)
//!      → kafka · targets · routes + fields · service → Config, or all Mistakes
//! ```
//!
//! # Invariants
//! - C1: no mistake shows a value that came from the environment or belongs to a secret key.
//! - C2: no property of librdkafka can switch off what keeps records from being lost.
//! - C3: a token leaves the host encrypted only.
//! - C4: an event that LaunchDarkly would not count is refused when the file alone shows it.
//! - C5: the environment is read here and nowhere else.
//!
//! Not here: what the settings mean (the parts that own them), arguments of the command line.

pub mod cases;
mod conversion;
mod fields;
mod interpolate;
mod kafka;
pub mod keys;
mod metric;
mod mistakes;
mod operation;
mod raw;
mod routes;
mod secret;
mod section;
mod segment;
mod service;
mod stand_in;
mod targets;
mod traces;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

pub use mistakes::{Mistake, Mistakes, Place};

use self::mistakes::{At, Review, Secrets};
use self::raw::Variables;
use self::section::Section;
use self::stand_in::stand_in;
use crate::kafka::settings::KafkaSettings;
use crate::launchdarkly::settings::TargetSettings;
use crate::pipeline::settings::PipelineSettings;
use crate::telemetry::settings::{AdminSettings, LogSettings, TraceSettings};

/// A configuration that can be used as it is. Its `Debug` shows no secret.
#[derive(Debug, Clone)]
pub struct Config {
    pub kafka: KafkaSettings,
    /// In the order of the file; a `TargetId` is an index into it.
    pub targets: Vec<TargetSettings>,
    pub pipeline: PipelineSettings,
    pub admin: AdminSettings,
    pub log: LogSettings,
    /// Where spans are exported to, if anywhere.
    pub traces: Option<TraceSettings>,
    /// Every key with its value, defaults included and secrets not shown.
    pub effective: BTreeMap<String, String>,
}

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("cannot read the configuration file {}", path.display())]
    Unreadable { path: PathBuf, source: io::Error },
    /// Shown as the list it is, so it is no source of anything.
    #[error("{0}")]
    Mistaken(Mistakes),
}

// === impl Config ===

impl Config {
    /// Reads and checks a file, with the variables of the process's environment.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let text = text_of(path)?;
        Self::parse(&text, &path.to_string_lossy(), &variable).map_err(ConfigError::Mistaken)
    }

    /// Reads and checks a file whose variables need not be set, to look at what it would do. Gives
    /// the names of those that something else stands for, too.
    pub fn load_without_secrets(path: &Path) -> Result<(Self, Vec<String>), ConfigError> {
        let (text, name) = (text_of(path)?, path.to_string_lossy());
        let review = Review::new(&name, without_mark(&text), Secrets::Optional);
        let replaced = RefCell::new(Vec::new());
        let stand_in = |key: &str, name: &str| {
            let stand_in = stand_in(key, name)?;
            replaced.borrow_mut().push(name.to_owned());
            Some(stand_in)
        };
        let variables = Variables { environment: &variable, stand_in: &stand_in };
        let config = Self::read(without_mark(&text), variables, review);
        let mut replaced = replaced.into_inner();
        replaced.sort();
        replaced.dedup();
        config.map(|config| (config, replaced)).map_err(ConfigError::Mistaken)
    }

    /// Checks a text. `name` is the file's path: mistakes show it, and `access_token_file` is
    /// relative to its directory. `environment` looks up variables.
    pub fn parse(
        text: &str,
        name: &str,
        environment: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, Mistakes> {
        let review = Review::new(name, without_mark(text), Secrets::Required);
        let variables = Variables { environment, stand_in: &|_key, _name| None };
        Self::read(without_mark(text), variables, review)
    }

    /// Everything between Kafka and LaunchDarkly, without secrets: equal texts make equal requests and
    /// keep equal limits.
    pub fn path_text(&self) -> String {
        format!("{:?}\n{:?}", self.pipeline, self.targets)
    }

    fn read(text: &str, variables: Variables<'_>, review: Review<'_>) -> Result<Self, Mistakes> {
        let root = raw::read(text, Some(variables), &review);
        let config = root.map(|root| Self::check(&root, &review));
        review.conclude(config)
    }

    /// Reads all sections; usable only when the review has no mistake.
    fn check(root: &raw::Value, review: &Review<'_>) -> Self {
        raw::note_values(root, review);
        let start = At { key: String::new(), line: 1, column: 1 };
        let root = Section::open(review, Some(root), start, keys::ROOT);
        let dead_letter = service::dead_letter(&root);
        let drain_deadline = service::drain_deadline(&root);
        let drain = review.is_sound("drain_deadline").then_some(drain_deadline);
        let targets = targets::read(&root);
        let surroundings =
            routes::Surroundings { targets: &targets.names, dead_letter_topic: &dead_letter.topic };
        let routes = routes::read(&root, &surroundings);
        let kafka = kafka::read(&root, drain);
        let traces = traces::read(&root, &kafka);
        let batch = service::batch(&root, traces.is_some());
        Self {
            kafka,
            pipeline: PipelineSettings {
                targets: targets.settings.iter().map(|target| target.name.clone()).collect(),
                routes,
                unmatched: service::unmatched(&root),
                batch,
                coalesce: service::segments(&root),
                delivery: service::delivery(&root),
                dead_letter,
                limits: service::limits(&root, &batch),
                checks: service::checks(&root),
                commit_interval: service::commit_interval(&root),
                drain_deadline,
            },
            targets: targets.settings,
            admin: service::admin(&root),
            log: service::log(&root),
            traces,
            // Last: the readers above note the defaults.
            effective: review.effective(),
        }
    }
}

/// Where a test wants the process to end, see [`crate::runtime::failpoint`].
pub fn failpoint() -> Option<String> {
    variable("LDSINK_FAILPOINT")
}

fn text_of(path: &Path) -> Result<String, ConfigError> {
    fs::read_to_string(path)
        .map_err(|source| ConfigError::Unreadable { path: path.to_owned(), source })
}

/// Without the byte order mark that some editors begin a file with.
fn without_mark(text: &str) -> &str {
    text.strip_prefix('\u{feff}').unwrap_or(text)
}

#[expect(clippy::disallowed_methods, reason = "the one place that reads the environment (C5)")]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}
