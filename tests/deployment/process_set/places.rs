//! Where things are without containers: each container's paths in a directory of its own, each port of
//! each container's network at a free port of loopback.
//!
//! This is the only thing that differs from what is declared, and it is done to text: the commands, the
//! variables and the mounted configuration. Whatever names a host and a port must mean a listener of
//! [`LISTENERS`] from where it is read, as it would have to in the container: an address that leads
//! nowhere fails the test.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use crate::files::path;
use crate::support::kafka::PortLease;

use super::declared::{Service, Source};

/// Who listens where: the network and the port. One network's addresses are 127.0.0.1 to itself.
const LISTENERS: [(&str, u16); 6] = [
    ("kafka", 9092),
    ("kafka", 9093),
    ("kafka", 29092),
    ("sandbox", 8765),
    ("sandbox", 9464),
    ("prometheus", 9090),
];
const LOOPBACK: [&str; 3] = ["127.0.0.1", "localhost", "0.0.0.0"];

#[derive(Debug)]
pub(super) struct Places {
    directory: PathBuf,
    ports: Vec<(&'static str, u16, PortLease)>,
    /// Which network a host name leads to.
    names: BTreeMap<String, String>,
}

// === impl Places ===

impl Places {
    pub(super) fn new(directory: &Path, services: &[Service]) -> Self {
        let ports = LISTENERS.map(|(network, port)| (network, port, PortLease::take())).into();
        let named = services.iter().flat_map(|service| {
            service.host_names().into_iter().map(|name| (name.to_owned(), service.name.clone()))
        });
        Self { directory: directory.to_owned(), ports, names: named.collect() }
    }

    /// The directory that is `/` to a service.
    pub(super) fn root(&self, service: &Service) -> PathBuf {
        self.directory.join("containers").join(&service.name)
    }

    /// Lays out a service's mounts. A file that needs no change stays the repository's own.
    pub(super) fn mount(&self, service: &Service) {
        for mount in service.mounts() {
            let here = self.root(service).join(mount.target.trim_start_matches('/'));
            fs::create_dir_all(here.parent().expect("below the root")).unwrap();
            match mount.source {
                Source::Volume(name) => {
                    let volume = self.directory.join("volumes").join(name);
                    fs::create_dir_all(&volume).unwrap();
                    link(&volume, &here);
                }
                Source::Repository(file) => {
                    let file = path(&file);
                    let text = if file.is_file() {
                        fs::read_to_string(&file).unwrap()
                    } else {
                        String::new()
                    };
                    let changed = self.text(service, &text);
                    if changed == text {
                        link(&file, &here);
                    } else {
                        fs::write(&here, changed).unwrap();
                    }
                }
            }
        }
    }

    /// What a service's text means here: its paths, and the addresses as seen from its network.
    pub(super) fn text(&self, service: &Service, text: &str) -> String {
        let mut targets: Vec<String> =
            service.mounts().into_iter().map(|mount| mount.target).collect();
        targets.extend(super::image::directories(service).into_iter().map(str::to_owned));
        // The most precise first: `/etc/prometheus/rules` before `/etc`.
        targets.sort_by_key(|target| std::cmp::Reverse(target.len()));
        let root = self.root(service).display().to_string();
        let with_paths = targets.iter().fold(text.to_owned(), |text, target| {
            replace_path(&text, target, &format!("{root}{target}"))
        });
        self.addresses(service.network(), &with_paths)
    }

    /// The address of a published port, for whoever uses this machine.
    pub(super) fn published(&self, services: &[Service], port: u16) -> String {
        let owner = services.iter().find(|service| service.published().contains(&port));
        let owner = owner.unwrap_or_else(|| panic!("nobody publishes {port}"));
        self.listener(&owner.name, port)
    }

    /// What a text for the user of this machine means here.
    pub(super) fn for_this_machine(&self, services: &[Service], text: &str) -> String {
        let published = services.iter().flat_map(Service::published);
        published.fold(text.to_owned(), |text, port| {
            let address = format!("127.0.0.1:{port}");
            if text.contains(&address) {
                text.replace(&address, &self.published(services, port))
            } else {
                text
            }
        })
    }

    /// Replaces every `host:port` whose host is one of ours.
    fn addresses(&self, network: &str, text: &str) -> String {
        let mut replaced = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once(':') {
            let digits = after.find(|c: char| !c.is_ascii_digit()).unwrap_or(after.len());
            let (port, tail) = after.split_at(digits);
            let of_host = |c: char| c.is_ascii_alphanumeric() || c == '.' || c == '-';
            let head = before.trim_end_matches(of_host);
            let (_, host) = before.split_at(head.len());
            let owner = self.leads_to(network, head, host);
            let here = owner.zip(port.parse().ok()).map(|(owner, port)| self.listener(owner, port));
            replaced.push_str(head);
            replaced.push_str(&here.unwrap_or_else(|| format!("{host}:{port}")));
            rest = tail;
        }
        replaced + rest
    }

    /// The network that a host means to who is in `network`. No host at all is one behind `://` only.
    fn leads_to<'a>(&'a self, network: &'a str, before: &str, host: &str) -> Option<&'a str> {
        match host {
            "" => before.ends_with("//").then_some(network),
            _ if LOOPBACK.contains(&host) => Some(network),
            _ => self.names.get(host).map(String::as_str),
        }
    }

    fn listener(&self, network: &str, port: u16) -> String {
        let found =
            self.ports.iter().find(|(owner, number, _)| (*owner, *number) == (network, port));
        let (_, _, lease) = found.unwrap_or_else(|| panic!("nobody listens at {network}:{port}"));
        format!("127.0.0.1:{}", lease.port)
    }
}

/// Replaces a path where it begins one, but not where it continues another.
fn replace_path(text: &str, path: &str, by: &str) -> String {
    let mut replaced = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(path) {
        let (before, found) = rest.split_at(at);
        let (found, tail) = found.split_at(path.len());
        let within = |c: char| c.is_ascii_alphanumeric() || "._-/".contains(c);
        replaced.push_str(before);
        let begins = !replaced.ends_with(within);
        let ends = !tail.starts_with(|c: char| within(c) && c != '/');
        replaced.push_str(if begins && ends { by } else { found });
        rest = tail;
    }
    replaced + rest
}

fn link(to: &Path, at: &Path) {
    if let Err(error) = symlink(to, at) {
        panic!("{}: {error}", at.display());
    }
}

#[test]
fn addresses_are_what_they_are_in_the_container() {
    let services = super::declared::services(&[]);
    let places = Places::new(Path::new("/here"), &services);
    let [ldsink, prometheus] = ["ldsink", "prometheus"]
        .map(|name| services.iter().find(|service| service.name == name).unwrap());
    let sandbox = places.listener("sandbox", 8765);
    assert_eq!(
        places.text(ldsink, "url: http://127.0.0.1:8765/x"),
        format!("url: http://{sandbox}/x")
    );
    let admin = places.listener("sandbox", 9464);
    assert_eq!(places.text(prometheus, "[ldsink:9464]"), format!("[{admin}]"));
    assert_eq!(places.text(prometheus, "at 12:30, a: 1, ::1"), "at 12:30, a: 1, ::1");
    assert_eq!(
        places.text(prometheus, "--a=/prometheus /etc/prometheus/rules/*.yml /prometheus2"),
        "--a=/here/containers/prometheus/prometheus \
         /here/containers/prometheus/etc/prometheus/rules/*.yml /prometheus2"
    );
}

#[test]
#[should_panic(expected = "nobody listens at prometheus:8765")]
fn an_address_that_leads_nowhere_in_the_container_leads_nowhere_here() {
    let services = super::declared::services(&[]);
    let places = Places::new(Path::new("/here"), &services);
    let prometheus = services.iter().find(|service| service.name == "prometheus").unwrap();
    places.text(prometheus, "http://127.0.0.1:8765");
}
