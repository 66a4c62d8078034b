//! Licences and sources of everything we link, read from Cargo's own metadata.
//!
//! The part of `cargo deny check` that needs neither that tool nor the advisory database.

#![cfg(test)]

use std::process::Command;

use serde_json::Value;

/// Licences that an Apache-2.0 program can be distributed with. The same list as in
/// `.cargo/deny.toml`; the test below keeps the two together.
const ALLOWED: &[&str] = &[
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "CDLA-Permissive-2.0",
    "ISC",
    "MIT",
    "MPL-2.0",
    "Unicode-3.0",
    "Zlib",
];

fn packages() -> Vec<Value> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--locked", "--offline", "--format-version", "1"])
        .args(["--filter-platform", "x86_64-unknown-linux-gnu"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let Value::Array(packages) = metadata["packages"].take() else { panic!("no packages") };
    assert!(packages.len() > 100);
    packages
}

/// Whether a licence expression can be met with the allowed ones. Expressions in use are flat, or
/// groups of alternatives joined by AND.
fn is_allowed(expression: &str) -> bool {
    let expression = expression.replace('/', " OR ").replace(['(', ')'], " ");
    expression
        .split(" AND ")
        .all(|group| group.split(" OR ").any(|licence| ALLOWED.contains(&licence.trim())))
}

#[test]
fn every_licence_is_allowed() {
    for package in packages().iter().filter(|package| package["name"] != "ldsink") {
        let licence = package["license"].as_str().unwrap_or("none");
        assert!(is_allowed(licence), "{} {}: {licence}", package["name"], package["version"]);
    }
    assert!(!is_allowed("GPL-3.0-only") && !is_allowed("MIT AND GPL-2.0-only"));
}

#[test]
fn everything_comes_from_the_registry_in_a_fixed_version() {
    for package in packages() {
        let (name, source) = (&package["name"], package["source"].as_str());
        if name == "ldsink" {
            for dependency in package["dependencies"].as_array().unwrap() {
                assert_ne!(dependency["req"], "*", "{} floats", dependency["name"]);
            }
        } else {
            assert!(source.is_some_and(|s| s.starts_with("registry+")), "{name}: {source:?}");
        }
    }
}

#[test]
fn the_rules_of_cargo_deny_allow_the_same_licences() {
    let rules = include_str!("../.cargo/deny.toml");
    let (_, list) = rules.split_once("[licenses]\nallow = [").unwrap();
    let (list, _) = list.split_once(']').unwrap();
    let listed: Vec<&str> = list.split('"').skip(1).step_by(2).collect();
    assert_eq!(listed, ALLOWED);
}
