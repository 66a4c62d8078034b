//! The command line: one file per command, each thin.

mod check;
mod completions;
mod demo;
mod dlq;
mod health;
mod preview;
mod run;
mod sandbox;
mod test;

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::config::Config;
use crate::kafka::connection::{compiled_in, mistaken_properties};
use crate::preview::explain::Explainer;
use crate::runtime::shutdown::{Shutdown, StopSignals};
use crate::telemetry::logging::Chain;

/// How a command ends, as its exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    Success = 0,
    /// Something failed while running, a demo lost or repeated an event, or the account is not as the
    /// configuration needs it.
    Failure = 1,
    /// The command line or the configuration is mistaken.
    Usage = 2,
    /// Kafka cannot be reached or lacks a topic.
    Startup = 3,
    /// Stopped before everything in flight was settled; it is read again after the next start.
    Unfinished = 4,
}

const AFTER_HELP: &str = "\
Exit codes:
  0  success
  1  a failure while running, or what check --online found
  2  a mistake in the command line or the configuration
  3  Kafka cannot be reached or lacks a topic
  4  stopped before everything in flight was settled (nothing is lost: it is read again)";

#[derive(Debug, Parser)]
#[command(
    name = "ldsink",
    version,
    about = "Streams change events from Apache Kafka into LaunchDarkly",
    after_long_help = AFTER_HELP,
    propagate_version = true
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Run(run::RunArgs),
    Demo(demo::DemoArgs),
    Check(check::CheckArgs),
    Preview(preview::PreviewArgs),
    Test(test::TestArgs),
    Dlq(dlq::DlqArgs),
    Sandbox(sandbox::SandboxArgs),
    Health(health::HealthArgs),
    Completions(completions::CompletionsArgs),
}

/// Parses the command line and runs the command to its end.
pub fn main() -> ExitCode {
    let cli = match parse() {
        Ok(cli) => cli,
        Err(exit) => return exit.into(),
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            say(&format!("the asynchronous runtime cannot be started: {error}"));
            return Exit::Failure.into();
        }
    };
    let exit = runtime.block_on(execute(cli.command));
    // A thread that is stuck must not keep the process from ending.
    runtime.shutdown_timeout(std::time::Duration::from_secs(1));
    exit.into()
}

fn parse() -> Result<Cli, Exit> {
    use clap::{CommandFactory, FromArgMatches};
    let matches = Cli::command().long_version(long_version()).try_get_matches();
    matches.and_then(|matches| Cli::from_arg_matches(&matches)).map_err(|error| {
        let printed = error.print();
        if printed.is_err() || error.use_stderr() { Exit::Usage } else { Exit::Success }
    })
}

/// The version, and what the Kafka client was built with.
fn long_version() -> String {
    let kafka =
        compiled_in().unwrap_or_else(|error| format!("librdkafka cannot be asked: {error}"));
    format!("{}\n{kafka}", env!("CARGO_PKG_VERSION"))
}

async fn execute(command: Command) -> Exit {
    let shutdown = match listen() {
        Ok(shutdown) => shutdown,
        Err(error) => {
            say(&format!("stop signals cannot be heard: {error}"));
            return Exit::Failure;
        }
    };
    match command {
        Command::Run(args) => run::run(args, shutdown).await,
        Command::Demo(args) => demo::demo(args, shutdown).await,
        Command::Check(args) => check::check(&args).await,
        Command::Preview(args) => preview::preview(args, shutdown).await,
        Command::Test(args) => test::test(&args),
        Command::Dlq(args) => dlq::dlq(args, shutdown).await,
        Command::Sandbox(args) => sandbox::serve(args, shutdown).await,
        Command::Health(args) => health::ask(&args).await,
        Command::Completions(args) => completions::complete(&args),
    }
}

/// Begins to listen to the operating system's stop signals.
fn listen() -> std::io::Result<Shutdown> {
    let shutdown = Shutdown::default();
    let listening = StopSignals::install()?.listen(shutdown.clone());
    // Lives as long as the process: a second signal must be heard until the very end.
    #[expect(clippy::disallowed_methods, reason = "the signal listener belongs to the process")]
    tokio::spawn(listening);
    Ok(shutdown)
}

/// Loads a configuration and tells every mistake in it, those that only librdkafka knows included.
fn load(file: &Path) -> Result<Config, Exit> {
    let config = Config::load(file).map_err(|error| {
        say(&Chain(&error).to_string());
        Exit::Usage
    })?;
    let mistaken = mistaken_properties(&config.kafka);
    for error in &mistaken {
        say(&format!("{}: kafka.properties: {error}", file.display()));
    }
    if mistaken.is_empty() { Ok(config) } else { Err(Exit::Usage) }
}

/// Reads a configuration to look at its mapping, or tells its mistakes. Nothing is sent, so secrets
/// need not be there.
fn mapping(file: &Path) -> Option<Config> {
    match Config::load_without_secrets(file) {
        Ok((config, replaced)) => {
            if !replaced.is_empty() {
                say(&format!("not set, a placeholder stands for it: {}", replaced.join(", ")));
            }
            Some(config)
        }
        Err(error) => {
            say(&Chain(&error).to_string());
            None
        }
    }
}

/// What explains records under a configuration, or tells why nothing can.
fn explainer(config: &Config) -> Option<Explainer> {
    let explainer = Explainer::try_new(&config.pipeline, &config.targets);
    explainer.map_err(|error| say(&Chain(&error).to_string())).ok()
}

/// Prints a result to stdout.
fn print(text: &str) {
    note(writeln!(std::io::stdout(), "{text}"));
}

/// Tells a person something on stderr.
fn say(text: &str) {
    note(writeln!(std::io::stderr(), "{text}"));
}

/// A reader that went away (`| head`) is no failure of the command; `println!` would panic.
fn note(written: std::io::Result<()>) {
    if let Err(error) = written {
        tracing::debug!(%error, "nobody reads the output");
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        ExitCode::from(exit as u8)
    }
}
