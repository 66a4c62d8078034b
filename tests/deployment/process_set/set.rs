//! All services of the set: started when what they wait for is there, stopped in reverse order.

use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;

use crate::support::supervised::Signal;
use crate::support::wait::eventually;

use super::container::{Container, execute};
use super::declared::{Condition, Service, services};
use super::image;
use super::places::Places;

/// For a service that runs once: two Java machines that each ask Kafka something.
const COMPLETED: Duration = Duration::from_secs(60);
/// A broker on a machine that does much else; what a stop may take at all is asserted for ldsink.
const STOPPED: Duration = Duration::from_secs(60);

#[derive(Debug)]
pub(super) struct ProcessSet {
    /// In the order of their start.
    running: Vec<Container>,
    pub(super) services: Vec<Service>,
    pub(super) places: Places,
    _directory: TempDir,
}

/// How a service ended: its exit code, or 128 and the signal's number.
pub(super) type Ended = (String, i32);

// === impl ProcessSet ===

impl ProcessSet {
    /// Lays out what is declared, with these variables in `.env`. Nothing runs yet. Blocks.
    pub(super) fn lay_out(env_file: &[(&str, &str)]) -> Self {
        let services = services(env_file);
        let directory = TempDir::new().unwrap();
        let places = Places::new(directory.path(), &services);
        for service in services.iter().filter(|service| image::is_native(service)) {
            places.mount(service);
            image::install(service, &places);
        }
        Self { running: Vec::new(), services, places, _directory: directory }
    }

    /// `docker compose up --wait`: returns when every service is healthy or has done its work.
    pub(super) async fn up(&mut self) {
        let mut waiting: Vec<Service> =
            self.services.iter().filter(|service| image::is_native(service)).cloned().collect();
        let mut completed: Vec<String> = Vec::new();
        while !waiting.is_empty() {
            let there = |name: &String| self.is_running(name) || completed.contains(name);
            let free = |service: &Service| service.waits().iter().all(|(needed, _)| there(needed));
            let (next, later): (Vec<_>, Vec<_>) = waiting.into_iter().partition(free);
            assert!(
                !next.is_empty(),
                "they wait for each other, or for what does not run: {later:?}"
            );
            for service in next {
                for (needed, condition) in service.waits() {
                    self.reached(&needed, condition, &mut completed).await;
                }
                self.running.push(Container::start(&service, &self.places));
            }
            waiting = later;
        }
        for container in self.running.iter_mut().filter(|container| !container.was_healthy) {
            container.healthy(&self.places).await;
        }
    }

    async fn reached(&mut self, needed: &str, condition: Condition, completed: &mut Vec<String>) {
        if completed.iter().any(|name| name == needed) {
            return;
        }
        match condition {
            Condition::Healthy => {
                let index = self.index(needed);
                self.running[index].healthy(&self.places).await;
            }
            Condition::Completed => {
                let index = self.index(needed);
                let mut container = self.running.remove(index);
                let status = container.ended(COMPLETED).await;
                assert!(status.success(), "{needed}: {status}: {}", container.log_tail());
                completed.push(needed.to_owned());
            }
        }
    }

    /// Kills a program of a service, as the kernel does when memory runs out; the service has to end with
    /// it, in a way that makes Compose start it again, which is done here.
    pub(super) async fn comes_back_without(&mut self, name: &str, program: &str) {
        let index = self.index(name);
        let mut container = self.running.remove(index);
        let service = container.service.clone();
        let words = ["pgrep", "-f", program].map(str::to_owned);
        let found = execute(&service, &self.places, &words).output().await.unwrap();
        let found = String::from_utf8(found.stdout).unwrap();
        let [pid] = found.lines().collect::<Vec<_>>()[..] else { panic!("{name}: {found:?}") };
        let killed = Command::new("kill").args(["-s", "KILL", pid]).status().unwrap();
        assert!(killed.success(), "{program}: {killed}");
        let status = container.ended(STOPPED).await;
        assert!(
            !status.success() && service.restarts_on_failure(),
            "{name} stays as it is: {status}"
        );
        self.running.push(Container::start(&service, &self.places));
        self.healthy(name).await;
    }

    /// `docker compose stop` of one service.
    pub(super) async fn stop_one(&mut self, name: &str) -> Ended {
        let index = self.index(name);
        let mut container = self.running.remove(index);
        assert!(container.is_running(), "{name} has ended by itself: {}", container.log_tail());
        container.signal(Signal::Term);
        let within = if name == "ldsink" { container.service.stop_grace() } else { STOPPED };
        let status = container.ended(within).await;
        (name.to_owned(), status.code().expect("a shell tells signals as codes"))
    }

    /// `docker compose down`, without `--volumes`.
    pub(super) async fn down(&mut self) -> Vec<Ended> {
        let mut ended = Vec::new();
        while let Some(last) = self.running.last() {
            let name = last.service.name.clone();
            ended.push(self.stop_one(&name).await);
        }
        ended
    }

    /// Waits until a service's health check fails.
    pub(super) async fn unhealthy(&self, name: &str, within: Duration) -> String {
        let container = &self.running[self.index(name)];
        let check = container.service.health_check().expect("a health check");
        eventually(within, &format!("{name} to be unhealthy"), async || {
            container.check(&check, &self.places).await.err()
        })
        .await
    }

    /// Waits until a service's health check succeeds.
    pub(super) async fn healthy(&mut self, name: &str) {
        let index = self.index(name);
        self.running[index].healthy(&self.places).await;
    }

    /// `http://`, and where a published port is.
    pub(super) fn url(&self, port: u16) -> String {
        format!("http://{}", self.places.published(&self.services, port))
    }

    pub(super) fn service(&self, name: &str) -> &Service {
        self.services
            .iter()
            .find(|service| service.name == name)
            .unwrap_or_else(|| panic!("no {name}"))
    }

    fn is_running(&self, name: &str) -> bool {
        self.running.iter().any(|container| container.service.name == name)
    }

    fn index(&self, name: &str) -> usize {
        let found = self.running.iter().position(|container| container.service.name == name);
        found.unwrap_or_else(|| panic!("{name} does not run"))
    }
}

impl Drop for ProcessSet {
    /// A test that fails shows what the services said last. The later ones end first.
    fn drop(&mut self) {
        while let Some(container) = self.running.pop() {
            if std::thread::panicking() {
                eprintln!("{} said last:\n{}", container.service.name, container.log_tail());
            }
        }
    }
}
