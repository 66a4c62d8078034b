//! `ldsink sandbox`: a LaunchDarkly stand-in to try things against.

use std::net::SocketAddr;

use clap::{Args, ValueEnum};

use super::{Exit, print, say};
use crate::runtime::shutdown::Shutdown;
use crate::sandbox::{DEFAULT_TOKEN, JournalMode, Sandbox, SandboxError, Settings};
use crate::telemetry::logging::Chain;

/// Serve a LaunchDarkly stand-in: metric import, metric definitions, segments, and a journal.
///
/// Point a target's `events_url` and `api_url` at the address it prints. `GET /` lists its
/// endpoints, among them faults and limits on demand; `GET /sandbox/journal` tells what has been
/// accepted and what counts.
#[derive(Debug, Args)]
pub(super) struct SandboxArgs {
    /// The address to listen on; port 0 takes a free one.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8765")]
    listen: SocketAddr,
    /// An access token to accept; may be given several times.
    #[arg(long = "token", value_name = "TOKEN", default_value = DEFAULT_TOKEN)]
    tokens: Vec<String>,
    /// A project and environment that exist; may be given several times. Without it all do.
    #[arg(long = "environment", value_name = "PROJECT/ENVIRONMENT", value_parser = environment)]
    environments: Vec<(String, String)>,
    /// A metric that exists from the start, numeric and for users; may be given several times.
    #[arg(long = "metric", value_name = "PROJECT/EVENT_KEY", value_parser = metric)]
    metrics: Vec<(String, String)>,
    /// The largest body it accepts, in uncompressed bytes.
    #[arg(long, value_name = "BYTES", default_value_t = 10_000_000)]
    max_body_bytes: usize,
    /// Whether to keep every event or only counts; counts need far less memory.
    #[arg(long, value_enum, default_value_t = Journal::Full)]
    journal: Journal,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Journal {
    Full,
    Counts,
}

pub(super) async fn serve(args: SandboxArgs, shutdown: Shutdown) -> Exit {
    match run(args, shutdown).await {
        Ok(()) => Exit::Success,
        Err(error) => {
            say(&Chain(&error).to_string());
            Exit::Failure
        }
    }
}

async fn run(args: SandboxArgs, shutdown: Shutdown) -> Result<(), SandboxError> {
    let sandbox = Sandbox::bind(Settings {
        listen: args.listen,
        tokens: args.tokens,
        environments: (!args.environments.is_empty()).then_some(args.environments),
        event_metrics: args.metrics,
        max_body_bytes: args.max_body_bytes,
        journal: match args.journal {
            Journal::Full => JournalMode::Full,
            Journal::Counts => JournalMode::Counts,
        },
        ..Settings::default()
    })
    .await?;
    print(&format!("sandbox listens on http://{}", sandbox.address()));
    sandbox.serve(shutdown.requested).await
}

fn environment(text: &str) -> Result<(String, String), String> {
    pair(text)
        .ok_or("write it as PROJECT/ENVIRONMENT, for example storefront/production".to_owned())
}

fn metric(text: &str) -> Result<(String, String), String> {
    pair(text)
        .ok_or("write it as PROJECT/EVENT_KEY, for example storefront/checkout-total".to_owned())
}

fn pair(text: &str) -> Option<(String, String)> {
    let (one, other) = text.split_once('/')?;
    (!one.is_empty() && !other.is_empty()).then(|| (one.to_owned(), other.to_owned()))
}
