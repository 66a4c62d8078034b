//! What is deployed, against the published schemas and a linter. They are fetched where they are missing.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

use crate::compose::DOCKERFILE;
use crate::files::{path, text};
use crate::kubernetes::{DIRECTORY, resources};
use crate::python::{environment, run, told};

/// The oldest version of Kubernetes whose schema is looked at, and the newest.
const KUBERNETES: [&str; 2] = ["1.31.0", "1.36.0"];

fn validator(name: &str) -> Command {
    let programs = environment("validators", &path("tests/clients/validators/requirements.txt"));
    Command::new(programs.join(name))
}

fn kubernetes(file: &Path, version: &str) -> Output {
    let mut command = validator("kubernetes-validate");
    run(command.args(["--strict", "--kubernetes-version", version]).arg(file))
}

fn compose(file: &Path) -> Output {
    run(validator("check-jsonschema").args(["--builtin-schema", "vendor.compose-spec"]).arg(file))
}

/// A file with one word changed.
fn with_mistake(relative: &str, word: &str, mistake: &str) -> (TempDir, PathBuf) {
    let directory = TempDir::new().unwrap();
    let file = directory.path().join("mistaken.yaml");
    let right = text(relative);
    assert!(right.contains(word), "{relative} has no {word}");
    fs::write(&file, right.replacen(word, mistake, 1)).unwrap();
    (directory, file)
}

#[test]
fn the_manifests_are_what_kubernetes_takes() {
    for version in KUBERNETES {
        for resource in resources() {
            let checked = kubernetes(&path(DIRECTORY).join(&resource), version);
            assert!(checked.status.success(), "{resource}: {}", told(&checked));
        }
    }
    let file = format!("{DIRECTORY}/statefulset.yaml");
    let (_directory, mistaken) = with_mistake(&file, "readinessProbe:", "readynessProbe:");
    let checked = kubernetes(&mistaken, KUBERNETES[0]);
    assert!(!checked.status.success(), "it sees no mistake: {}", told(&checked));
}

#[test]
fn the_compose_file_is_what_compose_takes() {
    let checked = compose(&path("docker-compose.yml"));
    assert!(checked.status.success(), "{}", told(&checked));
    let (_directory, mistaken) =
        with_mistake("docker-compose.yml", "stop_grace_period:", "stop_grace_perod:");
    let checked = compose(&mistaken);
    assert!(!checked.status.success(), "it sees no mistake: {}", told(&checked));
}

#[test]
fn the_dockerfile_is_as_it_should_be() {
    // DL3008 wants one version of ca-certificates for ever: certificates of authorities get old.
    let lint = |file: &Path| run(validator("hadolint").args(["--ignore", "DL3008"]).arg(file));
    let checked = lint(&path(DOCKERFILE));
    assert!(checked.status.success(), "{}", told(&checked));
    let (_directory, mistaken) = with_mistake(DOCKERFILE, "FROM debian:12.12-slim", "FROM debian");
    let checked = lint(&mistaken);
    assert!(!checked.status.success(), "it sees no mistake: {}", told(&checked));
}
