//! Runs the real service in this process, configured by `config/demo.yaml`.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::app::{App, AppError};
use crate::config::{Config, Mistakes};
use crate::pipeline::source::Stopped;
use crate::runtime::shutdown::Shutdown;
use crate::runtime::tasks::TaskSet;
use crate::sandbox::DEFAULT_TOKEN;

const CONFIG: &str = include_str!("../../config/demo.yaml");
/// From start to the first assignment; everything is in this process.
const READY_WITHIN: Duration = Duration::from_secs(30);
/// Between two looks at `/ready`.
const LOOK: Duration = Duration::from_millis(20);

/// The running service.
#[derive(Debug)]
pub(super) struct Service {
    admin: SocketAddr,
    shutdown: Shutdown,
    ended: oneshot::Receiver<Result<Stopped, AppError>>,
}

/// The service did not do what the demo needs of it.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    #[error(transparent)]
    App(#[from] AppError),
    #[error("the service ended by itself")]
    Ended,
    #[error("the service was not ready within {0:?}: {1}")]
    NotReady(Duration, String),
}

/// Where the admin endpoints of the demo's service are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AdminPort {
    /// Any free port, so that a demo never stands in the way of a service on the same machine.
    Free,
    /// The one that dashboards look at; a free one when it is taken.
    Usual,
}

/// Reads the demo's configuration.
///
/// # Errors
/// Never with the file this was built with; a test keeps it so.
pub(super) fn configuration(bootstrap: &str, sandbox_url: &str) -> Result<Config, Mistakes> {
    Config::parse(CONFIG, "config/demo.yaml", &|name| match name {
        "LDSINK_DEMO_BOOTSTRAP" => Some(bootstrap.to_owned()),
        "LDSINK_DEMO_SANDBOX_URL" => Some(sandbox_url.to_owned()),
        "LDSINK_DEMO_TOKEN" => Some(DEFAULT_TOKEN.to_owned()),
        _ => None,
    })
}

// === impl Service ===

impl Service {
    /// Starts the service.
    pub(super) async fn start(
        config: Config,
        port: AdminPort,
        tasks: &TaskSet,
    ) -> Result<Self, ServiceError> {
        let app = bind(config, port).await?;
        let (admin, shutdown) = (app.admin_address(), Shutdown::default());
        let (tell, ended) = oneshot::channel();
        let running = app.run(shutdown.clone());
        tasks.spawn("service", async move {
            if tell.send(running.await).is_err() {
                tracing::debug!("nobody waits for the service");
            }
        });
        Ok(Self { admin, shutdown, ended })
    }

    pub(super) fn admin_url(&self) -> String {
        format!("http://{}", self.admin)
    }

    /// Waits until records can flow.
    pub(super) async fn ready(&mut self, http: &reqwest::Client) -> Result<(), ServiceError> {
        let deadline = Instant::now() + READY_WITHIN;
        let url = format!("{}/ready", self.admin_url());
        loop {
            self.check()?;
            let complaint = match http.get(&url).send().await {
                Ok(answer) if answer.status().is_success() => return Ok(()),
                Ok(answer) => answer.text().await.unwrap_or_default(),
                Err(error) => error.to_string(),
            };
            if Instant::now() > deadline {
                return Err(ServiceError::NotReady(READY_WITHIN, complaint));
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Looks whether the service still runs.
    pub(super) fn check(&mut self) -> Result<(), ServiceError> {
        match self.ended.try_recv() {
            Err(oneshot::error::TryRecvError::Empty) => Ok(()),
            Ok(Err(error)) => Err(error.into()),
            Ok(Ok(_)) | Err(oneshot::error::TryRecvError::Closed) => Err(ServiceError::Ended),
        }
    }

    /// Stops as SIGTERM would, and at once when `user` asks a second time.
    pub(super) async fn stop(&mut self, user: &Shutdown) -> Result<Stopped, ServiceError> {
        self.shutdown.requested.cancel();
        tokio::select! {
            ended = &mut self.ended => return result_of(ended),
            () = user.immediate.cancelled() => self.shutdown.immediate.cancel(),
        }
        result_of((&mut self.ended).await)
    }
}

impl Drop for Service {
    /// Nobody looks after it any more: whoever waits for its tasks must not wait for ever.
    fn drop(&mut self) {
        self.shutdown.immediate.cancel();
        self.shutdown.requested.cancel();
    }
}

fn result_of(
    ended: Result<Result<Stopped, AppError>, oneshot::error::RecvError>,
) -> Result<Stopped, ServiceError> {
    Ok(ended.map_err(|_gone| ServiceError::Ended)??)
}

async fn bind(mut config: Config, port: AdminPort) -> Result<App, AppError> {
    if port == AdminPort::Usual {
        match App::bind(config.clone(), None).await {
            Err(AppError::Admin(error)) => tracing::debug!(%error, "taking a free port instead"),
            bound => return bound,
        }
    }
    config.admin.listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    App::bind(config, None).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::broker::ORDERS;

    #[test]
    fn the_configuration_that_is_compiled_in_is_valid_and_reads_the_demo_s_topic() {
        let config = configuration("127.0.0.1:1", "http://127.0.0.1:2").unwrap();
        assert!(config.pipeline.topics()[0].selects(ORDERS));
        assert_eq!(config.pipeline.dead_letter.topic, "ldsink.dead-letters");
    }
}
