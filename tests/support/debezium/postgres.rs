//! A PostgreSQL server of our own: a fresh cluster on a loopback port, gone with the test process.
//!
//! The server runs below `postgres.sh`, which holds the reading end of a pipe from this process; when
//! the pipe closes, for whatever reason, the script stops the server and removes its data. Nothing here
//! sends a signal to a process id, and no cluster of the system is looked at or touched.
//!
//! Not here: what is in the database (`scenario/`), who reads its log (`engine`).

use std::fs::{self, File};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use super::install::debezium_home;
use crate::support::kafka::{PortLease, environment};
use crate::support::maven::tail;
use crate::support::wait::eventually;

const SUPERVISOR: &str = include_str!("postgres.sh");

/// initdb takes a second; this is for a machine that does much else.
const READY_DEADLINE: Duration = Duration::from_secs(60);

/// Logical messages reach pgoutput since 14.
const MINIMUM_RELEASE: u32 = 14;

#[derive(Debug)]
pub(crate) struct Postgres {
    bin: PathBuf,
    log: PathBuf,
    supervisor: Child,
    /// The server lives as long as this is open.
    lifeline: Option<ChildStdin>,
    port: PortLease,
    directory: TempDir,
}

// === impl Postgres ===

impl Postgres {
    /// Starts a server with an empty database `postgres` and a superuser `shop`, and waits until it
    /// answers.
    ///
    /// # Panics
    /// When PostgreSQL is missing or does not start, with the remedy or the server's log.
    pub(crate) async fn start() -> Self {
        let bin = programs().unwrap_or_else(|reason| panic!("{reason}"));
        let directory = data_directory();
        let log = debezium_home().join("postgres.log");
        let output = File::create(&log).expect("the build directory is writable");
        let port = PortLease::take();
        let mut supervisor = Command::new("sh")
            .args(["-c", SUPERVISOR, "postgres.sh"])
            .arg(directory.path())
            .arg(&bin)
            .arg(port.port.to_string())
            .stdin(Stdio::piped())
            .stdout(output.try_clone().expect("a file handle can be shared"))
            .stderr(output)
            // Ctrl-C goes to the terminal's whole group; the supervisor must outlive us to clean up.
            .process_group(0)
            .spawn()
            .expect("`sh` runs");
        let lifeline = supervisor.stdin.take();
        let mut server = Self { bin, log, supervisor, lifeline, port, directory };
        server.ready().await;
        server
    }

    pub(crate) fn port(&self) -> u16 {
        self.port.port
    }

    /// Returns a directory that goes with the server; the server's own things are in it too.
    pub(super) fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Returns the id of the server's first process.
    pub(crate) fn pid(&self) -> u32 {
        let pid = fs::read_to_string(self.directory.path().join("pid")).expect("it was started");
        pid.trim().parse().expect("the supervisor writes a number")
    }

    /// Returns the release as the server tells it, such as 15.18.
    pub(crate) async fn release(&self) -> String {
        self.run("SHOW server_version").await
    }

    /// Runs statements, a transaction each unless they say otherwise; returns the rows of queries as
    /// text without decoration.
    ///
    /// # Panics
    /// When one fails: the rest was not run.
    pub(crate) async fn run(&self, sql: &str) -> String {
        self.psql(sql).await.unwrap_or_else(|reason| panic!("{reason}"))
    }

    async fn psql(&self, sql: &str) -> Result<String, String> {
        let script = self.directory.path().join("script.sql");
        fs::write(&script, sql).map_err(|error| error.to_string())?;
        let output = tokio::process::Command::new(self.bin.join("psql"))
            .args(["--no-psqlrc", "--quiet", "--no-align", "--tuples-only"])
            .args(["--set", "ON_ERROR_STOP=1"])
            .args(["--host", "127.0.0.1", "--username", "shop", "--dbname", "postgres"])
            .args(["--port", &self.port().to_string(), "--file"])
            .arg(&script)
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output()
            .await
            .map_err(|error| format!("cannot run psql: {error}"))?;
        if output.status.success() {
            Ok(String::from_utf8_lossy(&output.stdout).trim_end().to_owned())
        } else {
            Err(String::from_utf8_lossy(&output.stderr).into_owned())
        }
    }

    async fn ready(&mut self) {
        eventually(READY_DEADLINE, "PostgreSQL to answer", async || {
            if let Some(status) = self.supervisor.try_wait().expect("the supervisor is our child") {
                panic!("PostgreSQL ended by itself ({status}):\n{}", tail(&self.log));
            }
            self.psql("SELECT 1").await
        })
        .await;
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        drop(self.lifeline.take());
        if let Err(error) = self.supervisor.wait() {
            eprintln!("cannot await the end of PostgreSQL: {error}");
        }
    }
}

/// Returns the directory of initdb, postgres and psql.
fn programs() -> Result<PathBuf, String> {
    let remedy = format!(
        "The tests run a real PostgreSQL {MINIMUM_RELEASE} or later. \
         On Debian: apt-get install postgresql (its own cluster is not touched)."
    );
    let path = environment("PATH").unwrap_or_default();
    let on_path = std::env::split_paths(&path).map(|directory| directory.join("initdb"));
    // Debian keeps the server's programs off the PATH, by release.
    let mut of_debian: Vec<_> = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path().join("bin/initdb")))
        .collect();
    of_debian.sort_by_key(|initdb| release(initdb).ok());
    let bin = on_path
        .chain(of_debian.into_iter().rev())
        // A link on the PATH stands for its neighbours too.
        .filter_map(|initdb| Some(fs::canonicalize(initdb).ok()?.parent()?.to_owned()))
        .find(|bin| ["postgres", "psql"].iter().all(|name| bin.join(name).exists()))
        .ok_or_else(|| format!("there is no `initdb` beside `postgres` and `psql`. {remedy}"))?;
    match release(&bin.join("postgres"))? {
        release if release >= MINIMUM_RELEASE => Ok(bin),
        release => Err(format!("{} is of release {release}. {remedy}", bin.display())),
    }
}

/// Returns the major release a program of PostgreSQL says it is of.
fn release(program: &Path) -> Result<u32, String> {
    let output = Command::new(program)
        .arg("--version")
        .output()
        .map_err(|error| format!("cannot run {}: {error}", program.display()))?;
    let banner = String::from_utf8_lossy(&output.stdout).into_owned();
    banner
        .split(|c: char| !c.is_ascii_digit())
        .find_map(|part| part.parse().ok())
        .ok_or_else(|| format!("{} told no version but {banner:?}", program.display()))
}

/// Makes a directory for the server, in the build directory if the server can get there.
fn data_directory() -> TempDir {
    let run = debezium_home().join("run");
    fs::create_dir_all(&run).expect("the build directory is writable");
    // Run by root, the server is another user, to whom a home directory on the way may be closed.
    let is_root = fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0);
    let open = |directory: &Path| {
        fs::metadata(directory).is_ok_and(|found| found.permissions().mode() & 0o001 != 0)
    };
    let place =
        if is_root && !run.ancestors().all(open) { std::env::temp_dir() } else { run.clone() };
    tempfile::Builder::new().prefix("postgres-").tempdir_in(place).expect("the place is writable")
}
