//! `ldsink check`: what is wrong with a configuration, all at once.

use std::path::PathBuf;

use clap::Args;

use super::{Exit, load, print};

/// Validate a configuration file and print every mistake with its place.
///
/// Nothing is connected to. Environment variables that the file uses must be set.
#[derive(Debug, Args)]
pub(super) struct CheckArgs {
    /// The configuration file.
    #[arg(value_name = "FILE", default_value = "ldsink.yaml")]
    config: PathBuf,
}

pub(super) fn check(args: &CheckArgs) -> Exit {
    match load(&args.config) {
        Ok(config) => {
            print(&format!(
                "{}: valid ({} routes, {} topics, {} targets)",
                args.config.display(),
                config.pipeline.routes.len(),
                config.pipeline.topics().len(),
                config.targets.len(),
            ));
            Exit::Success
        }
        Err(exit) => exit,
    }
}
