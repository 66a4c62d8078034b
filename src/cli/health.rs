//! `ldsink health`: asks a running service how it is, for health checks in images without a shell.

use std::time::Duration;

use clap::Args;

use super::{Exit, print, say};
use crate::telemetry::logging::Chain;

/// Ask a running service whether it is ready and print its answer.
///
/// Exit code 0 when it is, 1 when it is not or does not answer.
#[derive(Debug, Args)]
pub(super) struct HealthArgs {
    /// The endpoint to ask.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:9464/ready")]
    url: String,
    /// How long to wait for the answer, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 5)]
    timeout: u64,
}

pub(super) async fn ask(args: &HealthArgs) -> Exit {
    match answer(args).await {
        Ok((true, body)) => {
            print(&body);
            Exit::Success
        }
        Ok((false, body)) => {
            say(&body);
            Exit::Failure
        }
        Err(error) => {
            say(&format!("no answer from {}: {}", args.url, Chain(&error)));
            Exit::Failure
        }
    }
}

async fn answer(args: &HealthArgs) -> Result<(bool, String), reqwest::Error> {
    let http = reqwest::Client::builder()
        .timeout(Duration::from_secs(args.timeout))
        // The service is next to us; a proxy for the outside world is not.
        .no_proxy()
        .build()?;
    let answer = http.get(&args.url).send().await?;
    Ok((answer.status().is_success(), answer.text().await?))
}
