//! One service of the set, running.

use std::path::PathBuf;
use std::process::{Command, ExitStatus};
use std::time::Duration;

use crate::support::kafka::environment;
use crate::support::maven::tail;
use crate::support::supervised::{Signal, Supervised};
use crate::support::wait::eventually;

use super::declared::{HealthCheck, Service};
use super::image;
use super::places::Places;

const SUPERVISOR: &str = include_str!("container.sh");

/// A service and its process. Killed on drop, with everything the process has started.
#[derive(Debug)]
pub(super) struct Container {
    pub(super) service: Service,
    process: Supervised,
    environment: Vec<(String, String)>,
    log: PathBuf,
}

// === impl Container ===

impl Container {
    /// Starts the service; its mounts and programs are laid out already.
    pub(super) fn start(service: &Service, places: &Places) -> Self {
        let root = places.root(service);
        let programs = root.join("usr/local/bin");
        let path = environment("PATH").expect("there is a PATH");
        // Nothing else of this process' environment: a container does not have it either.
        let mut variables = vec![("PATH".to_owned(), format!("{}:{path}", programs.display()))];
        let declared = service.environment().iter();
        variables.extend(declared.map(|(name, value)| (name.clone(), places.text(service, value))));
        variables.extend(image::variables(service, places));

        let mut command = Command::new("bash");
        command
            .args(["-c", SUPERVISOR, "container.sh"])
            .arg(root.join("pid"))
            .args(image::command(service).iter().map(|word| places.text(service, word)))
            .current_dir(&root)
            .env_clear()
            .envs(variables.iter().cloned());
        let log = root.join("log");
        let process = Supervised::start(&mut command, &log);
        Self { service: service.clone(), process, environment: variables, log }
    }

    pub(super) fn signal(&mut self, signal: Signal) {
        self.process.order(signal);
    }

    pub(super) fn is_running(&mut self) -> bool {
        self.process.ended().is_none()
    }

    /// Waits for its end.
    pub(super) async fn ended(&mut self, within: Duration) -> ExitStatus {
        let what = format!("{} to end", self.service.name);
        eventually(within, &what, async || self.process.ended().ok_or_else(|| tail(&self.log)))
            .await
    }

    /// Waits until its health check succeeds, as long as Compose does before it gives up.
    pub(super) async fn healthy(&mut self, places: &Places) {
        let Some(check) = self.service.health_check() else { return };
        let what = format!("{} to be healthy", self.service.name);
        eventually(check.within, &what, async || {
            let ended = self.process.ended();
            assert!(
                ended.is_none(),
                "{} has ended, {ended:?}: {}",
                self.service.name,
                tail(&self.log)
            );
            self.check(&check, places).await
        })
        .await;
    }

    /// Runs the health check once, as in the container.
    pub(super) async fn check(&self, check: &HealthCheck, places: &Places) -> Result<(), String> {
        let words = image::complete(&check.command);
        let words: Vec<_> = words.iter().map(|word| places.text(&self.service, word)).collect();
        let (program, arguments) = words.split_first().expect("a command");
        let output = tokio::process::Command::new(program)
            .args(arguments)
            .current_dir(places.root(&self.service))
            .env_clear()
            .envs(self.environment.iter().cloned())
            .kill_on_drop(true)
            .output();
        match tokio::time::timeout(check.timeout, output).await {
            Ok(Ok(output)) if output.status.success() => Ok(()),
            Ok(Ok(output)) => Err(format!("{words:?}: {output:?}; its log: {}", tail(&self.log))),
            Ok(Err(error)) => panic!("{words:?}: {error}"),
            Err(_elapsed) => Err(format!("{words:?} takes longer than {:?}", check.timeout)),
        }
    }

    pub(super) fn log_tail(&self) -> String {
        tail(&self.log)
    }
}
