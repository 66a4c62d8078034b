//! The layers, read from the `use` lines and paths of the sources.
//!
//! A module that reaches across would make one part's change everybody's; a rule that only stands in
//! a document is broken within a month.

#![cfg(test)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// The rooms of the crate and the rooms each may name. `pipeline` is looked at stage by stage below.
const ROOMS: &[(&str, &[&str])] = &[
    ("model", &[]),
    // Asks and judges like the service, and writes nothing.
    ("audit", &["launchdarkly", "model", "pipeline"]),
    ("launchdarkly", &["model"]),
    ("kafka", &["model"]),
    ("resilience", &["model"]),
    ("runtime", &["model"]),
    ("telemetry", &["model"]),
    // A second, independent reading of LaunchDarkly's documentation.
    ("sandbox", &[]),
    ("config", &["kafka", "launchdarkly", "model", "pipeline", "preview", "telemetry"]),
    ("pipeline", &["kafka", "launchdarkly", "model", "resilience", "runtime", "telemetry"]),
    // Dead letters once they are written: what they say, and back to where they came from.
    ("dlq", &["kafka", "model"]),
    // Explains and sends nothing: no Kafka, no runtime, and the configuration builds what it needs.
    ("preview", &["launchdarkly", "model", "pipeline"]),
    (
        "app",
        &[
            "config",
            "kafka",
            "launchdarkly",
            "model",
            "pipeline",
            "resilience",
            "runtime",
            "telemetry",
        ],
    ),
    ("demo", &["app", "config", "kafka", "model", "pipeline", "runtime", "sandbox", "telemetry"]),
    (
        "cli",
        &[
            "app",
            "audit",
            "config",
            "demo",
            "dlq",
            "kafka",
            "model",
            "pipeline",
            "preview",
            "runtime",
            "sandbox",
            "telemetry",
        ],
    ),
];

/// What each stage may name of the other stages and of the service rooms.
const STAGES: &[(&str, &[&str])] = &[
    ("ack", &["model"]),
    ("batch", &["model", "pipeline::settings"]),
    ("check", &["model"]),
    ("coalesce", &["model", "pipeline::settings"]),
    ("commit", &["model"]),
    ("dead_letter", &["kafka", "model", "runtime", "telemetry"]),
    ("decode", &["model"]),
    (
        "deliver",
        &[
            "launchdarkly",
            "model",
            "pipeline::guard",
            "pipeline::settings",
            "resilience",
            "runtime",
            "telemetry",
        ],
    ),
    // Judged by the consumer thread and by lanes: the one thing that both have to agree on.
    ("guard", &["model", "pipeline::settings", "telemetry"]),
    ("journal", &["model"]),
    ("route", &["model"]),
    ("settings", &["model", "pipeline::route"]),
    ("source", &["kafka", "model", "runtime", "telemetry"]),
    // The joint of the stages: it knows the order and nothing of Kafka or LaunchDarkly.
    (
        "path",
        &[
            "model",
            "pipeline::ack",
            "pipeline::batch",
            "pipeline::check",
            "pipeline::coalesce",
            "pipeline::commit",
            "pipeline::decode",
            "pipeline::guard",
            "pipeline::journal",
            "pipeline::route",
            "pipeline::settings",
            "pipeline::source",
            "runtime",
            "telemetry",
        ],
    ),
    // Two paths one after the other, as one intake.
    ("succession", &["model", "pipeline::path", "pipeline::source", "telemetry"]),
];

/// Libraries and the only places that may name them.
const LIBRARIES: &[(&str, &[&str])] = &[
    ("rdkafka", &["src/kafka/", "src/pipeline/source/", "src/pipeline/dead_letter/", "src/demo/"]),
    (
        "reqwest",
        &[
            "src/launchdarkly/",
            "src/telemetry/traces/",
            "src/cli/health.rs",
            "src/demo/",
            "src/sandbox/tests",
        ],
    ),
    ("opentelemetry_proto", &["src/telemetry/traces/"]),
    ("prost", &["src/telemetry/traces/"]),
    ("prometheus", &["src/telemetry/metrics/"]),
    ("governor", &["src/resilience/quota.rs"]),
    ("backoff", &["src/resilience/retry.rs"]),
    ("cel", &["src/pipeline/route/"]),
    ("marked_yaml", &["src/config/"]),
    ("similar", &["src/preview/cases.rs"]),
    ("clap", &["src/cli/"]),
];

struct Source {
    path: String,
    /// Without comments and without test modules' files.
    code: String,
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    let mut open = vec![root.join("src")];
    while let Some(directory) = open.pop() {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path: PathBuf = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                let code = text.lines().filter(|l| !l.trim_start().starts_with("//"));
                found.push(Source {
                    path: path.strip_prefix(root).unwrap().to_str().unwrap().to_owned(),
                    code: code.collect::<Vec<_>>().join("\n"),
                });
            }
        }
    }
    assert!(found.len() > 40, "the sources were not found");
    found
}

/// Tests may look wherever they like.
fn is_test(path: &str) -> bool {
    path.ends_with("/tests.rs") || path.contains("/tests/")
}

fn without_tests(code: &str) -> &str {
    code.split("#[cfg(test)]\nmod tests {").next().unwrap()
}

/// The paths below `crate::` that a file names: `crate::a::b` gives `a::b`.
fn named(code: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for after in code.split("crate::").skip(1) {
        let path: String =
            after.chars().take_while(|c| c.is_alphanumeric() || *c == '_' || *c == ':').collect();
        names.insert(path.trim_end_matches(':').to_owned());
    }
    names
}

fn first(path: &str) -> &str {
    path.split("::").next().unwrap()
}

#[test]
fn rooms_name_only_what_lies_below_them() {
    let allowed: BTreeMap<_, _> = ROOMS.iter().copied().collect();
    let mut broken = Vec::new();
    let mut seen = BTreeSet::new();
    for source in sources().iter().filter(|source| !is_test(&source.path)) {
        let room = source.path.trim_start_matches("src/").split(['/', '.']).next().unwrap();
        if room == "lib" || room == "main" {
            continue;
        }
        let may =
            allowed.get(room).unwrap_or_else(|| panic!("{}: a room without a rule", source.path));
        seen.insert(room.to_owned());
        for path in named(without_tests(&source.code)) {
            let other = first(&path);
            if other != room && !may.contains(&other) {
                broken.push(format!("{} names crate::{path}", source.path));
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
    for room in ["model", "sandbox", "pipeline", "launchdarkly", "resilience"] {
        assert!(seen.contains(room), "the rule for {room} looks at nothing");
    }
}

#[test]
fn stages_do_not_name_each_other() {
    let allowed: BTreeMap<_, _> = STAGES.iter().copied().collect();
    let mut broken = Vec::new();
    let mut looked_at = 0;
    for source in sources().iter().filter(|source| !is_test(&source.path)) {
        let Some(rest) = source.path.strip_prefix("src/pipeline/") else { continue };
        let stage = rest.split(['/', '.']).next().unwrap();
        if stage == "mod" {
            continue;
        }
        looked_at += 1;
        let may = allowed.get(stage).unwrap_or_else(|| panic!("{rest}: a stage without a rule"));
        let code = without_tests(&source.code);
        let in_file = !rest.contains('/');
        // `super::` leaves a stage only from a file directly in `pipeline` or from a stage's root.
        let at_root = in_file || rest == format!("{stage}/mod.rs");
        let mut names = named(code);
        if at_root {
            for after in code.split("use super::").skip(1) {
                let name: String =
                    after.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
                names.insert(format!("pipeline::{name}"));
            }
        }
        for path in names {
            let own = format!("pipeline::{stage}");
            let fits = path == own
                || path.starts_with(&format!("{own}::"))
                || may.iter().any(|ok| path == *ok || path.starts_with(&format!("{ok}::")));
            if !fits {
                broken.push(format!("{} names {path}", source.path));
            }
        }
    }
    assert!(looked_at > 15);
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn each_library_stays_in_its_room() {
    let mut broken = Vec::new();
    for source in sources() {
        for (library, rooms) in LIBRARIES {
            let names = [format!("use {library}::"), format!("{library}::")];
            let used = names.iter().any(|name| {
                source.code.match_indices(name.as_str()).any(|(at, _)| {
                    let before = source.code.get(..at).unwrap();
                    !before.ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':')
                })
            });
            if used && !rooms.iter().any(|room| source.path.starts_with(room)) {
                broken.push(format!("{} names {library}", source.path));
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn every_file_says_what_it_is_for() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for source in sources() {
        let text = std::fs::read_to_string(root.join(&source.path)).unwrap();
        assert!(text.starts_with("//! "), "{} does not open with a module document", source.path);
    }
}
