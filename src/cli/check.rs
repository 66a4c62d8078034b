//! `ldsink check`: what is wrong with a configuration, all at once; online, with the account too.

use std::path::PathBuf;

use clap::Args;

use super::{Exit, load, print, say};
use crate::audit::inspect::inspect;
use crate::config::Config;
use crate::telemetry::clock;
use crate::telemetry::logging::Chain;

/// Validate a configuration file and print every mistake with its place.
///
/// Nothing is connected to, unless --online is given. Environment variables that the file uses must be
/// set.
#[derive(Debug, Args)]
pub(super) struct CheckArgs {
    /// The configuration file.
    #[arg(value_name = "FILE", default_value = "ldsink.yaml")]
    config: PathBuf,
    /// Also ask LaunchDarkly, without writing anything: is the token accepted, are metrics and segments
    /// there that make events count, and which rights does the token need. Ends with 1 when something
    /// is wrong.
    #[arg(long)]
    online: bool,
}

pub(super) async fn check(args: &CheckArgs) -> Exit {
    let config = match load(&args.config) {
        Ok(config) => config,
        Err(exit) => return exit,
    };
    print(&format!(
        "{}: valid ({} routes, {} topics, {} targets)",
        args.config.display(),
        config.pipeline.routes.len(),
        config.pipeline.topics().len(),
        config.targets.len(),
    ));
    if args.online { check_online(&config).await } else { Exit::Success }
}

async fn check_online(config: &Config) -> Exit {
    match inspect(&config.targets, &config.pipeline, clock::now_ms).await {
        Ok(report) => {
            print(&format!("\n{report}"));
            if report.has_errors() { Exit::Failure } else { Exit::Success }
        }
        Err(error) => {
            say(&Chain(&error).to_string());
            Exit::Failure
        }
    }
}
