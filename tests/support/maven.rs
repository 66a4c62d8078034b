//! Installs what runs on Java into the build directory, once, with a `pom.xml` of the project's own.
//!
//! Maven is how Apache Kafka and Debezium are published to build tools, so no tarball, no container and
//! no unpinned download is needed. The jars lie in `<home>/libs`; a marker beside them holds what they
//! were made from, so an edited pom installs anew and an unchanged one never calls Maven again. A file
//! lock lets parallel test processes wait for the first.
//!
//! A missing tool is an error that says what to install, never a skipped test.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What Kafka since 4.0 and Debezium since 3.0 are compiled for.
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

/// Something to install: jars, and what is made of them.
#[derive(Debug)]
pub(crate) struct Package<'a> {
    /// Name and version, for people.
    pub(crate) what: &'a str,
    pub(crate) pom_path: &'a str,
    /// All the text the installation depends on; another text installs anew.
    pub(crate) made_from: &'a str,
    /// Where it goes; a directory of its own.
    pub(crate) home: PathBuf,
    /// What else helps who cannot install the tools, as a sentence after a blank; or nothing.
    pub(crate) otherwise: &'a str,
}

// === impl Package ===

impl Package<'_> {
    /// Returns the directory of the jars, filling it first where it is missing or outdated. Blocks.
    ///
    /// `finish` runs after the jars are there and before the installation counts as made.
    ///
    /// # Errors
    /// What is missing or went wrong, in words that tell the remedy.
    pub(crate) fn ensure(
        &self,
        finish: impl FnOnce(&Path) -> Result<(), String>,
    ) -> Result<PathBuf, String> {
        self.check_java()?;
        let home = &self.home;
        let libs = home.join("libs");
        fs::create_dir_all(home)
            .map_err(|error| format!("cannot create {}: {error}", home.display()))?;
        let lock =
            File::create(home.join("lock")).map_err(|error| format!("no lock file: {error}"))?;
        // Released when `lock` goes out of scope, or the process dies.
        lock.lock().map_err(|error| format!("cannot lock {}: {error}", home.display()))?;

        let marker = home.join("installed-from.xml");
        if fs::read_to_string(&marker).is_ok_and(|text| text == self.made_from) {
            return Ok(libs);
        }
        self.copy_jars(&libs)?;
        finish(&libs)?;
        fs::write(&marker, self.made_from)
            .map_err(|error| format!("cannot write {}: {error}", marker.display()))?;
        Ok(libs)
    }

    fn check_java(&self) -> Result<(), String> {
        let remedy = format!(
            "The tests run a real {}, which needs Java {MINIMUM_JAVA} or later on the PATH. \
             On Debian: apt-get install openjdk-17-jre-headless.{}",
            self.what, self.otherwise
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

    /// Copies the pom's jars to `libs` through a neighbour, so that a half-made copy is never taken for
    /// whole.
    fn copy_jars(&self, libs: &Path) -> Result<(), String> {
        let partial = self.home.join("libs.partial");
        for stale in [partial.as_path(), libs] {
            match fs::remove_dir_all(stale) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(format!("cannot remove {}: {error}", stale.display()));
                }
                _ => {}
            }
        }
        self.run_maven(&partial, &self.home.join("maven.log"))?;
        fs::rename(&partial, libs)
            .map_err(|error| format!("cannot rename {}: {error}", partial.display()))
    }

    fn run_maven(&self, into: &Path, log: &Path) -> Result<(), String> {
        let output = File::create(log)
            .map_err(|error| format!("cannot create {}: {error}", log.display()))?;
        let errors = output
            .try_clone()
            .map_err(|error| format!("cannot share {}: {error}", log.display()))?;
        let status = Command::new("mvn")
            .args(["--batch-mode", "--no-transfer-progress", "--file", self.pom_path])
            .args(MAVEN_PATIENCE)
            .arg("dependency:copy-dependencies")
            .arg(format!("-DoutputDirectory={}", into.display()))
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(errors)
            .status()
            .map_err(|error| {
                format!(
                    "cannot run `mvn`: {error}. The tests install {} with Apache Maven. \
                     On Debian: apt-get install maven.{}",
                    self.what, self.otherwise
                )
            })?;
        if status.success() {
            return Ok(());
        }
        Err(format!(
            "Maven could not install {} ({status}); {}:\n{}",
            self.what,
            log.display(),
            tail(log)
        ))
    }
}

/// Returns where `name` keeps its things in the build directory.
pub(crate) fn build_directory(name: &str) -> PathBuf {
    // Cargo sets this to `<target>/tmp`, and so follows CARGO_TARGET_DIR and .cargo/config.toml.
    let scratch = Path::new(env!("CARGO_TARGET_TMPDIR"));
    scratch.parent().expect("cargo's scratch directory lies inside the build directory").join(name)
}

/// Returns what `pom` pins as `property`.
pub(crate) fn pinned(pom: &'static str, property: &str) -> &'static str {
    let (_, rest) =
        pom.split_once(&format!("<{property}>")).expect("the pom pins what its reader asks for");
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
