//! One service of the set, running.

use std::path::PathBuf;
use std::process::{Command, ExitStatus};
use std::time::Duration;

use crate::support::kafka::environment as variable;
use crate::support::maven::tail;
use crate::support::supervised::{Signal, Supervised};
use crate::support::wait::eventually;

use super::declared::{HealthCheck, Service};
use super::image;
use super::places::Places;

const SUPERVISOR: &str = include_str!("container.sh");

/// The machine of the tests may be far busier than one that the file's times are made for.
const SLOWER: u32 = 3;

const REMEDY: &str =
    "Health checks are run with what they name. On Debian: apt-get install procps wget.";

/// A service and its process. Killed on drop, with everything the process has started.
#[derive(Debug)]
pub(super) struct Container {
    pub(super) service: Service,
    process: Supervised,
    /// Its health check has succeeded before.
    pub(super) was_healthy: bool,
    log: PathBuf,
}

/// A command as `docker compose exec` would run it. Killed on drop.
pub(super) fn execute(
    service: &Service,
    places: &Places,
    words: &[String],
) -> tokio::process::Command {
    let words: Vec<_> = words.iter().map(|word| places.text(service, word)).collect();
    let (program, arguments) = words.split_first().expect("a command");
    let mut command = tokio::process::Command::new(program);
    command.args(arguments).current_dir(places.root(service)).env_clear();
    command.envs(environment(service, places)).kill_on_drop(true);
    command
}

/// What is declared, and where programs are: a container has nothing of this process' environment either.
fn environment(service: &Service, places: &Places) -> Vec<(String, String)> {
    let programs = places.root(service).join("usr/local/bin");
    let path = variable("PATH").expect("there is a PATH");
    let mut environment = vec![("PATH".to_owned(), format!("{}:{path}", programs.display()))];
    let declared = service.environment().iter();
    environment.extend(declared.map(|(name, value)| (name.clone(), places.text(service, value))));
    environment.extend(image::variables(service, places));
    environment
}

// === impl Container ===

impl Container {
    /// Starts the service; its mounts and programs are laid out already.
    pub(super) fn start(service: &Service, places: &Places) -> Self {
        let root = places.root(service);
        let mut command = Command::new("bash");
        command
            .args(["-c", SUPERVISOR, "container.sh"])
            .arg(root.join("pid"))
            .args(image::command(service).iter().map(|word| places.text(service, word)))
            .current_dir(&root)
            .env_clear()
            .envs(environment(service, places));
        let log = root.join("log");
        let process = Supervised::start(&mut command, &log);
        Self { service: service.clone(), process, was_healthy: false, log }
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

    /// Waits until its health check succeeds, and gives up later than Compose does.
    pub(super) async fn healthy(&mut self, places: &Places) {
        let Some(check) = self.service.health_check() else { return };
        let what = format!("{} to be healthy", self.service.name);
        eventually(check.within * SLOWER, &what, async || {
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
        self.was_healthy = true;
    }

    /// Runs the health check once, as in the container.
    pub(super) async fn check(&self, check: &HealthCheck, places: &Places) -> Result<(), String> {
        let mut command = execute(&self.service, places, &image::complete(&check.command));
        match tokio::time::timeout(check.timeout * SLOWER, command.output()).await {
            Ok(Ok(output)) if output.status.success() => Ok(()),
            Ok(Ok(output)) => Err(format!("{:?}: {output:?}", check.command)),
            Ok(Err(error)) => panic!("{:?}: {error}. {REMEDY}", check.command),
            Err(_elapsed) => Err(format!("{:?} takes too long", check.command)),
        }
    }

    pub(super) fn log_tail(&self) -> String {
        tail(&self.log)
    }
}

#[tokio::test]
async fn nothing_outlives_its_container() {
    for by in [Some(Signal::Term), None] {
        let directory = tempfile::TempDir::new().unwrap();
        let at = |name: &str| directory.path().join(name);
        let first = format!("sleep 600 & echo $! >{}; wait", at("child").display());
        let mut command = Command::new("bash");
        command
            .args(["-c", SUPERVISOR, "container.sh"])
            .arg(at("pid"))
            .args(["bash", "-c", &first]);
        let mut process = Supervised::start(&mut command, &at("log"));
        let within = Duration::from_secs(10);
        let child = eventually(within, "the child to be there", async || {
            let pid = std::fs::read_to_string(at("child")).ok()?;
            pid.trim().parse::<u32>().ok()
        })
        .await;
        let child = std::path::Path::new("/proc").join(child.to_string());
        assert!(child.exists());
        if let Some(signal) = by {
            process.order(signal);
            let status = eventually(within, "its end", async || process.ended()).await;
            assert_eq!(status.code(), Some(128 + 15));
        }
        drop(process);
        eventually(within, "the child to be gone", async || !child.exists()).await;
    }
}
