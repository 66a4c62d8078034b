//! What `docker-compose.yml` declares for a service, read as Compose reads it.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use serde_json::Value;

use crate::compose;
use crate::configuration::substituted;
use crate::files::texts;

/// What Compose takes where the file says nothing.
const GRACE: Duration = Duration::from_secs(10);
const RETRIES: u32 = 3;

#[derive(Debug, Clone)]
pub(super) struct Service {
    pub(super) name: String,
    declared: Value,
    environment: BTreeMap<String, String>,
}

/// A file, a directory or a volume, and where the container has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mount {
    pub(super) source: Source,
    pub(super) target: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Source {
    /// From the top of the repository.
    Repository(String),
    Volume(String),
}

/// What a service waits for before it starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Condition {
    Healthy,
    Completed,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct HealthCheck {
    pub(super) command: Vec<String>,
    /// For one answer.
    pub(super) timeout: Duration,
    /// After which Compose calls the service unhealthy.
    pub(super) within: Duration,
}

/// All services, by name, with these variables in `.env`.
pub(super) fn services(env_file: &[(&str, &str)]) -> Vec<Service> {
    let given: HashMap<&str, &str> = env_file.iter().copied().collect();
    let services = compose::services();
    services.iter().map(|(name, declared)| Service::read(name, declared, &given)).collect()
}

// === impl Service ===

impl Service {
    fn read(name: &str, declared: &Value, given: &HashMap<&str, &str>) -> Self {
        let variables = declared["environment"].as_object().into_iter().flatten();
        let environment = variables
            .map(|(name, value)| (name.clone(), substituted(value.as_str().unwrap(), given)))
            .collect();
        Self { name: name.to_owned(), declared: declared.clone(), environment }
    }

    /// The image, without and with its version.
    pub(super) fn image(&self) -> (&str, &str) {
        self.text("image").and_then(|image| image.split_once(':')).expect("an image and its tag")
    }

    pub(super) fn command(&self) -> Vec<String> {
        texts(&self.declared["command"]).into_iter().map(str::to_owned).collect()
    }

    pub(super) fn environment(&self) -> &BTreeMap<String, String> {
        &self.environment
    }

    pub(super) fn mounts(&self) -> Vec<Mount> {
        let mounts = texts(&self.declared["volumes"]).into_iter();
        mounts
            .map(|mount| {
                let (source, target) = mount.split_once(':').expect(mount);
                let target = target.strip_suffix(":ro").unwrap_or(target).to_owned();
                let source = match source.strip_prefix("./") {
                    Some(file) => Source::Repository(file.to_owned()),
                    None => Source::Volume(source.to_owned()),
                };
                Mount { source, target }
            })
            .collect()
    }

    /// The repository's file or directory that is mounted at a path of the container, or above it.
    pub(super) fn repository_path(&self, within: &str) -> String {
        let found = self.mounts().into_iter().find_map(|mount| {
            let Source::Repository(source) = mount.source else { return None };
            within.strip_prefix(&mount.target).map(|rest| format!("{source}{rest}"))
        });
        found.unwrap_or_else(|| panic!("{}: nothing is mounted at {within}", self.name))
    }

    pub(super) fn waits(&self) -> Vec<(String, Condition)> {
        let waits = self.declared["depends_on"].as_object().into_iter().flatten();
        waits
            .map(|(needed, wait)| {
                let condition = match wait["condition"].as_str() {
                    Some("service_healthy") => Condition::Healthy,
                    Some("service_completed_successfully") => Condition::Completed,
                    other => panic!("{}: {other:?}", self.name),
                };
                (needed.clone(), condition)
            })
            .collect()
    }

    pub(super) fn health_check(&self) -> Option<HealthCheck> {
        let declared = &self.declared["healthcheck"];
        let (form, command) = texts(&declared["test"]).split_first().map(|(form, command)| {
            (form.to_string(), command.iter().map(|word| (*word).to_owned()).collect())
        })?;
        assert_eq!(form, "CMD", "{}: no shell is needed", self.name);
        let of = |key: &str| duration(declared[key].as_str().unwrap_or("0s"));
        let retries = declared["retries"].as_str().map_or(RETRIES, |it| it.parse().unwrap());
        let within = of("start_period") + (of("interval") + of("timeout")) * retries;
        Some(HealthCheck { command, timeout: of("timeout"), within })
    }

    /// Whose network it has: what it calls 127.0.0.1 is there.
    pub(super) fn network(&self) -> &str {
        let shared =
            self.text("network_mode").map(|mode| mode.strip_prefix("service:").expect(mode));
        shared.unwrap_or(&self.name)
    }

    /// The names that its network has for the others.
    pub(super) fn host_names(&self) -> Vec<&str> {
        if self.network() != self.name {
            return Vec::new(); // it has no network of its own, hence no name
        }
        let aliases = texts(&self.declared["networks"]["default"]["aliases"]);
        std::iter::once(self.name.as_str()).chain(aliases).collect()
    }

    /// The ports open to this machine, all under their own numbers.
    pub(super) fn published(&self) -> Vec<u16> {
        let ports = texts(&self.declared["ports"]).into_iter();
        ports
            .map(|port| {
                let (outside, inside) = port.rsplit_once(':').expect(port);
                assert_eq!(outside, format!("127.0.0.1:{inside}"), "{}", self.name);
                inside.parse().unwrap()
            })
            .collect()
    }

    /// How long a stop may take before the container is killed.
    pub(super) fn stop_grace(&self) -> Duration {
        self.text("stop_grace_period").map_or(GRACE, duration)
    }

    pub(super) fn restarts_on_failure(&self) -> bool {
        self.text("restart") == Some("on-failure")
    }

    fn text(&self, key: &str) -> Option<&str> {
        self.declared[key].as_str()
    }
}

/// In the one form used here.
fn duration(text: &str) -> Duration {
    let seconds = text.strip_suffix('s').and_then(|it| it.parse().ok());
    Duration::from_secs(seconds.unwrap_or_else(|| panic!("{text}: not a form this test knows")))
}
