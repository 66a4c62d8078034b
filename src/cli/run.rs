//! `ldsink run`: the service.

use std::path::PathBuf;

use clap::Args;

use super::{Exit, load};
use crate::app::{App, AppError};
use crate::config::{Config, failpoint as wanted_failpoint};
use crate::kafka::connection::compiled_in;
use crate::pipeline::source::Stopped;
use crate::runtime::failpoint;
use crate::runtime::shutdown::Shutdown;
use crate::telemetry::logging::{self, Chain};

/// Stream change events from Kafka into LaunchDarkly until stopped.
///
/// SIGTERM or Ctrl-C drains what is in flight, commits and leaves the group; a second one ends at
/// once, and what was in flight is read again after the next start.
#[derive(Debug, Args)]
pub(super) struct RunArgs {
    /// The configuration file.
    #[arg(short, long, value_name = "FILE", default_value = "ldsink.yaml")]
    config: PathBuf,
}

pub(super) async fn run(args: RunArgs, shutdown: Shutdown) -> Exit {
    let config = match load(&args.config) {
        Ok(config) => config,
        Err(exit) => return exit,
    };
    logging::start(&config.log);
    if let Some(point) = wanted_failpoint()
        && failpoint::arm(&point)
    {
        tracing::warn!(point, "this process will end at a failpoint");
    }
    match service(config, args.config, shutdown).await {
        Ok(Stopped::Clean) => {
            tracing::info!("stopped; everything taken was settled and committed");
            Exit::Success
        }
        Ok(Stopped::Unfinished) => {
            tracing::warn!("stopped before everything was settled; it is read again");
            Exit::Unfinished
        }
        Err(error) => {
            tracing::error!(error = %Chain(&error), "ldsink cannot go on");
            if matches!(error, AppError::Startup(_)) { Exit::Startup } else { Exit::Failure }
        }
    }
}

async fn service(config: Config, file: PathBuf, shutdown: Shutdown) -> Result<Stopped, AppError> {
    let kafka = compiled_in().unwrap_or_default();
    let app = App::bind(config, Some(file)).await?;
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        kafka,
        admin = %app.admin_address(),
        "ldsink starts"
    );
    app.run(shutdown).await
}
