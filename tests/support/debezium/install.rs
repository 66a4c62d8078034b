//! Installs Debezium's engine into the build directory, by way of `maven`, and compiles `Capture.java`:
//! `<target>/debezium/<version>/libs`.
//!
//! The compiler is Eclipse's, one jar among the others, so that a Java runtime is enough.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::support::maven::{Package, build_directory, pinned};

const POM: &str = include_str!("pom.xml");
const POM_PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/debezium/pom.xml");
const SOURCE_PATH: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/debezium/Capture.java");
const MADE_FROM: &str = concat!(include_str!("pom.xml"), include_str!("Capture.java"));

/// An installed engine with our program around it.
#[derive(Debug, Clone)]
pub(super) struct Installation {
    libs: PathBuf,
}

// === impl Installation ===

impl Installation {
    /// Returns the installation, making it first where it is missing. Blocks.
    ///
    /// # Errors
    /// What is missing or went wrong, in words that tell the remedy.
    pub(super) fn ensure() -> Result<Self, String> {
        let package = Package {
            what: &format!("Debezium {}", debezium_version()),
            pom_path: POM_PATH,
            made_from: MADE_FROM,
            home: debezium_home().join(debezium_version()),
            otherwise: "",
        };
        Ok(Self { libs: package.ensure(compile)? })
    }

    /// Returns the class path of the engine and of `Capture`.
    pub(super) fn classpath(&self) -> String {
        format!("{0}:{0}/*", self.libs.display())
    }
}

/// Returns where everything about Debezium lies in the build directory.
pub(super) fn debezium_home() -> PathBuf {
    build_directory("debezium")
}

/// Returns the version the pom pins.
pub(crate) fn debezium_version() -> &'static str {
    pinned(POM, "debezium.version")
}

fn compile(libs: &Path) -> Result<(), String> {
    // This compiler knows no wildcards in class paths.
    let jars: Vec<_> = std::fs::read_dir(libs)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| format!("cannot read {}: {error}", libs.display()))?
        .iter()
        .map(|entry| entry.path().display().to_string())
        .collect();
    let jars = jars.join(":");
    let output = Command::new("java")
        .args(["-cp", &jars, "org.eclipse.jdt.internal.compiler.batch.Main"])
        .args(["-source", "17", "-target", "17", "-proc:none", "-classpath", &jars, "-d"])
        .arg(libs)
        .arg(SOURCE_PATH)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("cannot run `java`: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!(
        "cannot compile {SOURCE_PATH} ({}):\n{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    ))
}
