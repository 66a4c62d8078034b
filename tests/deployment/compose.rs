//! `docker-compose.yml` and the Dockerfile: pinned, watched, closed to the network, and complete.

use std::collections::BTreeSet;
use std::process::Command;

use serde_json::{Map, Value};

use crate::files::{path, text, texts, yaml};

pub(crate) const DOCKERFILE: &str = "config/compose/Dockerfile";
/// What stays between a drain deadline that has passed and the end of the process; see `app::LEAVE`.
pub(crate) const LEAVING_SECONDS: u64 = 15;

pub(crate) fn services() -> Map<String, Value> {
    yaml("docker-compose.yml")["services"].as_object().expect("services").clone()
}

/// The services that run once: others wait for their success.
fn one_shots(services: &Map<String, Value>) -> BTreeSet<String> {
    let waits = services.values().filter_map(|service| service["depends_on"].as_object()).flatten();
    waits
        .filter(|(_, wait)| wait["condition"] == "service_completed_successfully")
        .map(|(name, _)| name.clone())
        .collect()
}

fn assert_pinned(image: &str) {
    let (_, tag) = image.split_once(':').unwrap_or_else(|| panic!("{image} has no tag"));
    let digits = tag.split(|c: char| !c.is_ascii_digit()).filter(|part| !part.is_empty()).count();
    assert!(digits >= 2, "{image}: a tag with its minor version does not become another image");
}

#[test]
fn images_are_pinned_or_built_here() {
    let services = services();
    let mut built = BTreeSet::new();
    for (name, service) in services.iter().filter(|(_, service)| !service["build"].is_null()) {
        let image = service["image"].as_str().expect(name);
        assert!(built.insert(image), "{image} is built twice: the first start can fail");
        let build = &service["build"];
        let context = build["context"].as_str().expect(name);
        let dockerfile = build["dockerfile"].as_str().expect(name);
        assert!(path(context).join(dockerfile).is_file(), "{name}: {dockerfile}");
    }
    for (name, service) in &services {
        let image = service["image"].as_str().expect(name);
        if !built.contains(image) {
            assert_pinned(image);
        }
    }
    let dockerfile = text(DOCKERFILE);
    let images = dockerfile.lines().filter_map(|line| line.strip_prefix("FROM "));
    let images: Vec<&str> = images.filter_map(|from| from.split_whitespace().next()).collect();
    assert_eq!(images.len(), 2, "a builder and what is shipped");
    images.into_iter().for_each(assert_pinned);
}

#[test]
fn ports_are_open_to_this_machine_only() {
    let services = services();
    let ports: Vec<&str> = services.values().flat_map(|service| texts(&service["ports"])).collect();
    assert!(ports.len() >= 5, "{ports:?}");
    let mut taken = BTreeSet::new();
    for port in ports {
        assert!(port.starts_with("127.0.0.1:"), "{port} is open to the network");
        assert!(taken.insert(port.rsplit_once(':').unwrap().0), "{port} is published twice");
    }
}

#[test]
fn every_service_is_watched_and_waited_for() {
    let services = services();
    let one_shots = one_shots(&services);
    for (name, service) in &services {
        let check = texts(&service["healthcheck"]["test"]);
        assert_eq!(check.is_empty(), one_shots.contains(name), "{name}: {check:?}");
        let restarts = service["restart"].is_string();
        assert!(!restarts || !one_shots.contains(name), "{name} would run again and again");
        for (needed, wait) in service["depends_on"].as_object().into_iter().flatten() {
            let service = services.get(needed).unwrap_or_else(|| panic!("{name} needs {needed}"));
            if wait["condition"] == "service_healthy" {
                assert!(service["healthcheck"].is_object(), "{name} waits for {needed}");
            } else {
                assert_eq!(wait["condition"], "service_completed_successfully", "{name}");
            }
        }
    }
}

#[test]
fn what_is_mounted_exists_and_stays_as_it_is() {
    let declared = yaml("docker-compose.yml")["volumes"].clone();
    for (name, service) in &services() {
        for mount in texts(&service["volumes"]) {
            let (from, to) = mount.split_once(':').expect(mount);
            if from.starts_with('.') {
                assert!(path(from).exists(), "{name} mounts {from}, which does not exist");
                assert!(to.ends_with(":ro"), "{name} could change {from}");
            } else {
                assert!(declared.get(from).is_some(), "{name}: the volume {from} is not declared");
            }
        }
    }
}

#[test]
fn what_is_ours_runs_with_the_least() {
    for name in ["sandbox", "ldsink"] {
        let service = &services()[name];
        assert_eq!(service["read_only"], "true", "{name}");
        assert_eq!(texts(&service["cap_drop"]), ["ALL"], "{name}");
        assert_eq!(texts(&service["security_opt"]), ["no-new-privileges:true"], "{name}");
    }
    assert!(user().starts_with(|c: char| ('1'..='9').contains(&c)), "{}", user());
}

/// Whom the image runs as.
pub(crate) fn user() -> String {
    let dockerfile = text(DOCKERFILE);
    let (_, shipped) = dockerfile.rsplit_once("\nFROM ").unwrap();
    shipped.lines().rev().find_map(|line| line.strip_prefix("USER ")).expect("a user").to_owned()
}

#[test]
fn a_stop_has_the_time_it_needs() {
    let grace = services()["ldsink"]["stop_grace_period"].as_str().unwrap().to_owned();
    let grace: u64 = grace.strip_suffix('s').and_then(|it| it.parse().ok()).expect("seconds");
    let drain = crate::configuration::configuration(&[]).pipeline.drain_deadline.as_secs();
    assert!(grace >= drain + LEAVING_SECONDS, "{grace} s for a drain of {drain} s");
}

#[test]
fn what_the_image_and_the_services_call_is_understood() {
    let sandbox = texts(&services()["sandbox"]["command"]).join(" ");
    let help = |command: &str| {
        let output =
            Command::new(env!("CARGO_BIN_EXE_ldsink")).args([command, "--help"]).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let known = help("sandbox");
    for option in sandbox.split(' ').filter(|word| word.starts_with("--")) {
        assert!(known.contains(option), "the sandbox does not know {option}");
    }
    let dockerfile = text(DOCKERFILE);
    assert!(dockerfile.contains(r#"CMD ["run", "--config", "/etc/ldsink/ldsink.yaml"]"#));
    assert!(help("run").contains("--config"));
    let mounts = &services()["ldsink"]["volumes"];
    assert!(texts(mounts).iter().any(|mount| mount.ends_with(":/etc/ldsink/ldsink.yaml:ro")));
}

#[test]
fn the_image_gets_what_it_copies() {
    // The context holds what `.dockerignore` lets through.
    let ignore = text(".dockerignore");
    let let_through: Vec<&str> = ignore.lines().filter_map(|line| line.strip_prefix('!')).collect();
    for line in text(DOCKERFILE)
        .lines()
        .filter(|line| line.starts_with("COPY ") && !line.contains("--from"))
    {
        let words: Vec<&str> = line.split(' ').skip(1).filter(|it| !it.starts_with("--")).collect();
        let (_, sources) = words.split_last().unwrap();
        for source in sources {
            let top = source.split('/').next().unwrap();
            assert!(let_through.contains(&top), "{source} is not sent to the builder");
            assert!(source.contains('*') || path(source).exists(), "{source} does not exist");
        }
    }
}
