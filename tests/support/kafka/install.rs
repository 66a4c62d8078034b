//! Installs Apache Kafka into the build directory, once, with the project's own `pom.xml`.
//!
//! Maven is the way Apache publishes the broker to build tools, so no tarball, no container and no
//! unpinned download is needed. The result lies in `<target>/kafka/<version>/libs`; a marker beside it
//! holds the pom it was made from, so an edited pom installs anew and an unchanged one never calls
//! Maven again. A file lock lets parallel test processes wait for the first.
//!
//! A missing tool is an error that says what to install, never a skipped test.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const POM: &str = include_str!("pom.xml");
const POM_PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/kafka/pom.xml");

/// Kafka's brokers are compiled for this release of Java since 4.0.
const MINIMUM_JAVA: u32 = 17;

/// Maven's own defaults wait for half an hour on a silent peer. Both the transport up to 3.8 (wagon)
/// and the one since (aether) are told; each ignores the other's.
const MAVEN_PATIENCE: [&str; 5] = [
    "-Dmaven.wagon.http.connectionTimeout=20000",
    "-Dmaven.wagon.http.readTimeout=60000",
    "-Dmaven.wagon.http.retryHandler.count=3",
    "-Daether.connector.connectTimeout=20000",
    "-Daether.connector.requestTimeout=60000",
];

/// An installed broker: jars, and a Java that runs them.
#[derive(Debug, Clone)]
pub(crate) struct Installation {
    libs: PathBuf,
}

// === impl Installation ===

impl Installation {
    /// Returns the installation, making it first where it is missing. Blocks.
    ///
    /// # Errors
    /// What is missing or went wrong, in words that tell the remedy.
    pub(crate) fn ensure() -> Result<Self, String> {
        check_java()?;
        let home = kafka_home().join(kafka_version());
        let libs = home.join("libs");
        fs::create_dir_all(&home)
            .map_err(|error| format!("cannot create {}: {error}", home.display()))?;
        let lock =
            File::create(home.join("lock")).map_err(|error| format!("no lock file: {error}"))?;
        // Released when `lock` goes out of scope, or the process dies.
        lock.lock().map_err(|error| format!("cannot lock {}: {error}", home.display()))?;

        let marker = home.join("installed-from.xml");
        if fs::read_to_string(&marker).is_ok_and(|pom| pom == POM) {
            return Ok(Self { libs });
        }
        install(&home, &libs)?;
        fs::write(&marker, POM)
            .map_err(|error| format!("cannot write {}: {error}", marker.display()))?;
        Ok(Self { libs })
    }

    /// Returns the class path of the broker and its tools.
    pub(crate) fn classpath(&self) -> String {
        format!("{}/*", self.libs.display())
    }
}

/// Returns where everything about Kafka lies in the build directory.
pub(crate) fn kafka_home() -> PathBuf {
    // Cargo sets this to `<target>/tmp`, and so follows CARGO_TARGET_DIR and .cargo/config.toml.
    let scratch = Path::new(env!("CARGO_TARGET_TMPDIR"));
    scratch
        .parent()
        .expect("cargo's scratch directory lies inside the build directory")
        .join("kafka")
}

/// Returns the version the pom pins.
pub(crate) fn kafka_version() -> &'static str {
    let (_, rest) = POM.split_once("<kafka.version>").expect("the pom pins kafka.version");
    let (version, _) = rest.split_once('<').expect("the pom's property is closed");
    version
}

/// Returns the major release from what `java -version` prints.
pub(crate) fn java_release(banner: &str) -> Option<u32> {
    let quoted = banner.split('"').nth(1)?;
    let mut numbers =
        quoted.split(|c: char| !c.is_ascii_digit()).map(|part| part.parse::<u32>().ok());
    match numbers.next()?? {
        // Up to Java 8 the releases called themselves 1.x.
        1 => numbers.next()?,
        release => Some(release),
    }
}

fn check_java() -> Result<(), String> {
    let remedy = format!(
        "The tests run a real Apache Kafka, which needs Java {MINIMUM_JAVA} or later on the PATH. \
         On Debian: apt-get install openjdk-17-jre-headless. \
         Or set KAFKA_BOOTSTRAP_SERVERS to a broker that runs already; tests that stop brokers still need their own."
    );
    let output = Command::new("java")
        .arg("-version")
        .output()
        .map_err(|error| format!("cannot run `java`: {error}. {remedy}"))?;
    let banner = String::from_utf8_lossy(&output.stderr).into_owned();
    match java_release(&banner) {
        Some(release) if release >= MINIMUM_JAVA => Ok(()),
        Some(release) => Err(format!("`java` is release {release}. {remedy}")),
        None => Err(format!("`java -version` printed no version but: {banner:?}. {remedy}")),
    }
}

/// Copies the pom's jars to `libs` through a neighbour, so that a half-made copy is never taken for whole.
fn install(home: &Path, libs: &Path) -> Result<(), String> {
    let partial = home.join("libs.partial");
    for stale in [&partial, libs] {
        match fs::remove_dir_all(stale) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(format!("cannot remove {}: {error}", stale.display()));
            }
            _ => {}
        }
    }
    run_maven(&partial, &home.join("maven.log"))?;
    fs::rename(&partial, libs)
        .map_err(|error| format!("cannot rename {}: {error}", partial.display()))
}

fn run_maven(into: &Path, log: &Path) -> Result<(), String> {
    let output =
        File::create(log).map_err(|error| format!("cannot create {}: {error}", log.display()))?;
    let errors =
        output.try_clone().map_err(|error| format!("cannot share {}: {error}", log.display()))?;
    let status = Command::new("mvn")
        .args(["--batch-mode", "--no-transfer-progress", "--file", POM_PATH])
        .args(MAVEN_PATIENCE)
        .arg("dependency:copy-dependencies")
        .arg(format!("-DoutputDirectory={}", into.display()))
        .stdin(Stdio::null())
        .stdout(output)
        .stderr(errors)
        .status()
        .map_err(|error| {
            format!(
                "cannot run `mvn`: {error}. The tests install Apache Kafka {} with Apache Maven. \
                 On Debian: apt-get install maven. Or set KAFKA_BOOTSTRAP_SERVERS to a broker that runs already; \
                 tests that stop brokers still need their own.",
                kafka_version()
            )
        })?;
    if status.success() {
        return Ok(());
    }
    Err(format!(
        "Maven could not install Apache Kafka {} ({status}); {}:\n{}",
        kafka_version(),
        log.display(),
        tail(log)
    ))
}

/// Returns the end of a log, for a message that must be enough without opening it.
pub(crate) fn tail(log: &Path) -> String {
    const LINES: usize = 40; // a Java stack trace and what led to it
    match fs::read(log) {
        Ok(bytes) => {
            let text = String::from_utf8_lossy(&bytes);
            let lines: Vec<_> = text.lines().collect();
            lines[lines.len().saturating_sub(LINES)..].join("\n")
        }
        Err(error) => format!("(cannot read {}: {error})", log.display()),
    }
}
