//! Reads the configuration file again when somebody asks (SIGHUP, `POST /reload`), and puts it in
//! force: all of it or nothing.
//!
//! | changed | consequence |
//! |---|---|
//! | nothing | nothing |
//! | access tokens, the admin token, the log level | in force at once, for requests under way as well |
//! | routes, targets, limits, delivery, checks | a new generation; each partition takes it up at a batch edge |
//! | Kafka, the topics, the dead-letter topic, the admin address, `drain_deadline`, the log's format, `traces` | refused: it takes a restart |
//!
//! # Invariants
//! - R1: whatever is refused is refused before anything has changed.
//! - R2: one reload at a time, in the order in which they were asked for.
//!
//! Not here: how partitions change over (`pipeline::succession`).

use std::path::PathBuf;
use std::sync::mpsc::Sender;

use secrecy::{ExposeSecret, SecretString};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::generation::{Builder, Built, configuration};
use crate::config::Config;
use crate::kafka::connection::mistaken_properties;
use crate::launchdarkly::token::LiveToken;
use crate::pipeline::succession::Generation;
use crate::runtime::shutdown::HangUps;
use crate::telemetry::admin::{Access, ReloadRequest};
use crate::telemetry::logging::{self, Chain};

/// Carries reloads out.
pub(super) struct Reloader {
    pub(super) file: PathBuf,
    /// What is in force.
    pub(super) config: Config,
    pub(super) builder: Builder,
    /// Of all generations that live.
    pub(super) tokens: Vec<(String, LiveToken)>,
    pub(super) successors: Sender<Generation>,
    pub(super) access: Access,
    pub(super) requests: mpsc::Receiver<ReloadRequest>,
}

/// What a reload would take a restart for.
const RESTART: &str = "takes a restart; nothing was reloaded";

impl Reloader {
    /// Reloads whenever it is asked for, until `stop`.
    pub(super) async fn run(mut self, hang_ups: Option<HangUps>, stop: CancellationToken) {
        let mut hang_ups = hang_ups;
        loop {
            let answer = tokio::select! {
                () = stop.cancelled() => return,
                () = HangUps::next(&mut hang_ups) => None,
                Some(request) = self.requests.recv() => Some(request),
            };
            let outcome = tokio::select! {
                () = stop.cancelled() => return,
                outcome = self.reload() => outcome,
            };
            let board = &self.builder.board;
            match &outcome {
                Ok(message) => {
                    tracing::info!(file = %self.file.display(), done = message, "configuration reloaded");
                    board.note_reload(true, message.clone());
                }
                Err(message) => {
                    tracing::error!(
                        file = %self.file.display(),
                        reason = message,
                        "the configuration was not reloaded; the one before stays in force"
                    );
                    board.note_reload(false, message.clone());
                }
            }
            if answer.is_some_and(|answer| answer.send(outcome).is_err()) {
                tracing::debug!("nobody waits to hear how the reload went");
            }
        }
    }

    async fn reload(&mut self) -> Result<String, String> {
        let new = self.read()?;
        let before = &self.config;
        let is_same_path = before.path_text() == new.path_text();
        let swapped: Vec<&str> = changed_tokens(before, &new);
        let (is_log_new, is_admin_new) =
            (before.log.filter != new.log.filter, !is_same_secret(before, &new));
        // What can fail comes before what changes anything (R1).
        let built = if is_same_path {
            None
        } else {
            let built = self.builder.build(&new).await;
            Some(built.map_err(|error| Chain(&error).to_string())?)
        };
        if is_log_new {
            logging::set_filter(&new.log.filter).map_err(|error| format!("log.level: {error}"))?;
        }
        let mut done = Vec::new();
        if is_log_new {
            done.push(format!("the log level is {}", new.log.filter));
        }
        if !swapped.is_empty() {
            done.push(format!("new access tokens: {}", swapped.join(", ")));
        }
        if is_admin_new {
            done.push("the admin token was replaced".to_owned());
        }
        self.access.replace(new.admin.token.clone());
        self.replace_tokens(&new);
        let generation = built.as_ref().map(|built| built.generation.number);
        if let Some(Built { generation, tokens }) = built {
            let number = generation.number;
            if self.successors.send(generation).is_err() {
                return Err("the service is ending".to_owned());
            }
            self.tokens.extend(tokens);
            done.push(format!(
                "generation {number}: each partition takes it up once what was read before is settled"
            ));
        }
        let number = generation.unwrap_or_else(|| self.builder.board.configuration().generation);
        let file = Some(self.file.display().to_string());
        self.builder.board.set_configuration(configuration(&new, number, file));
        self.config = new;
        if done.is_empty() {
            done.push("nothing has changed".to_owned());
        }
        Ok(done.join("; "))
    }

    /// Reads the file, and refuses what is mistaken or takes a restart.
    fn read(&self) -> Result<Config, String> {
        let new = Config::load(&self.file).map_err(|error| Chain(&error).to_string())?;
        let mistaken = mistaken_properties(&new.kafka);
        if !mistaken.is_empty() {
            let file = self.file.display();
            let lines = mistaken.iter().map(|it| format!("{file}: kafka.properties: {it}"));
            return Err(lines.collect::<Vec<_>>().join("\n"));
        }
        let fixed = fixed_changes(&self.config, &new);
        if fixed.is_empty() { Ok(new) } else { Err(format!("{}: {RESTART}", fixed.join(", "))) }
    }

    /// Requests of every generation are signed with the new tokens, so that what was cut under a
    /// configuration with a token that is refused can still be delivered.
    fn replace_tokens(&mut self, new: &Config) {
        self.tokens.retain(|(_, token)| !token.is_forgotten());
        for (name, token) in &self.tokens {
            let Some(target) = new.targets.iter().find(|target| target.name == *name) else {
                continue;
            };
            if let Err(error) = token.replace(target) {
                tracing::error!(error = %Chain(&error), "an access token cannot be sent");
            }
        }
    }
}

/// What is changed that a running service cannot change.
fn fixed_changes(before: &Config, new: &Config) -> Vec<&'static str> {
    let kafka = |config: &Config| {
        let kafka = &config.kafka;
        let names = (kafka.bootstrap_servers.clone(), kafka.group_id.clone());
        (names, kafka.startup_timeout, kafka.properties.clone())
    };
    let topics = |config: &Config| {
        let mut topics: Vec<_> =
            config.pipeline.topics().iter().map(|topic| topic.as_str().to_owned()).collect();
        topics.sort();
        topics
    };
    let letters = |config: &Config| {
        let letters = &config.pipeline.dead_letter;
        (letters.topic.clone(), letters.create)
    };
    let traces = |config: &Config| {
        let traces = config.traces.as_ref()?;
        let secret = |(name, value): &(String, SecretString)| {
            (name.clone(), value.expose_secret().to_owned())
        };
        // The settings show everything else.
        Some((format!("{traces:?}"), traces.headers.iter().map(secret).collect::<Vec<_>>()))
    };
    let changes = [
        (kafka(before) != kafka(new), "kafka"),
        (topics(before) != topics(new), "the topics of routes"),
        (letters(before) != letters(new), "dead_letter.topic and dead_letter.create"),
        (before.pipeline.drain_deadline != new.pipeline.drain_deadline, "drain_deadline"),
        (before.admin.listen != new.admin.listen, "admin.listen"),
        (before.log.format != new.log.format, "log.format"),
        (traces(before) != traces(new), "traces"),
    ];
    changes.iter().filter(|(is_changed, _)| *is_changed).map(|(_, what)| *what).collect()
}

fn is_same_secret(before: &Config, new: &Config) -> bool {
    let text =
        |config: &Config| config.admin.token.as_ref().map(|token| token.expose_secret().to_owned());
    text(before) == text(new)
}

/// The targets that are the same but for their token.
fn changed_tokens<'n>(before: &Config, new: &'n Config) -> Vec<&'n str> {
    let differs = |target: &&crate::launchdarkly::settings::TargetSettings| {
        let known = before.targets.iter().find(|it| it.name == target.name);
        known.is_some_and(|known| {
            known.access_token.expose_secret() != target.access_token.expose_secret()
        })
    };
    new.targets.iter().filter(differs).map(|target| target.name.as_str()).collect()
}
