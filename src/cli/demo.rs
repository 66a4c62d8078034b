//! `ldsink demo`: the first thing to run.

use clap::Args;

use super::{Exit, print, say};
use crate::demo::{self, DEFAULT_RECORDS, MOST_RECORDS, Options};
use crate::runtime::shutdown::Shutdown;
use crate::telemetry::logging::{self, Chain};
use crate::telemetry::settings::{LogFormat, LogSettings};

/// See it work: Kafka, the pipeline and a LaunchDarkly stand-in in one process, nothing to install.
///
/// Produces changes of a shop's orders, streams them, and compares what arrived with what was
/// produced, order by order. Ends with 0 only if nothing was lost and nothing counted twice.
/// Ctrl-C ends it early.
#[derive(Debug, Args)]
pub(super) struct DemoArgs {
    /// How many changes to produce.
    #[arg(
        long,
        value_name = "N",
        allow_negative_numbers = true,
        default_value_t = DEFAULT_RECORDS,
        value_parser = clap::value_parser!(u64).range(1..=MOST_RECORDS)
    )]
    records: u64,
    /// Print the result as a JSON object, the last line on stdout; the rest goes to stderr.
    #[arg(long)]
    json: bool,
    /// Leave everything up afterwards, with few changes a second, and print the addresses.
    #[arg(long)]
    keep_running: bool,
}

pub(super) async fn demo(args: DemoArgs, shutdown: Shutdown) -> Exit {
    // The demo tells what happens; the log is for what should not.
    logging::start(&LogSettings { filter: "warn".to_owned(), format: LogFormat::Text });
    let DemoArgs { records, json, keep_running } = args;
    let tell = if json { say } else { print };
    match demo::run(Options { records, keep_running }, shutdown, tell).await {
        Ok(report) => {
            if json {
                print(&report.json());
            }
            if report.is_success() { Exit::Success } else { Exit::Failure }
        }
        Err(error) => {
            say(&format!("the demo failed: {}", Chain(&error)));
            Exit::Failure
        }
    }
}
