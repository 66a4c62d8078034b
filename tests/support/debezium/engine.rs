//! Debezium's engines, several in one process, writing what they emit.
//!
//! `Capture` ends when its standard input does, so no engine outlives its test.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::install::{Installation, debezium_home};
use super::postgres::Postgres;
use super::{Record, Variant};
use crate::support::maven::tail;
use crate::support::wait::eventually;

const COMMON: &str = include_str!("variants/common.properties");

/// Ten engines start in three seconds on two free cores; this is for a machine that does much else.
const STREAMING_DEADLINE: Duration = Duration::from_secs(90);

/// The scenario itself is over in a second.
const FINISH_DEADLINE: Duration = Duration::from_secs(60);

#[derive(Debug)]
pub(super) struct Engines {
    process: Child,
    log: PathBuf,
    variants: &'static [Variant],
    directory: PathBuf,
}

// === impl Engines ===

impl Engines {
    /// Starts one engine for each variant.
    pub(super) fn start(
        installation: &Installation,
        postgres: &Postgres,
        variants: &'static [Variant],
    ) -> Self {
        // Goes with the server's own, also when we are killed.
        let directory = postgres.directory().join("capture");
        fs::create_dir(&directory).expect("the server's directory is ours");
        let common = directory.join("common.properties");
        let connection = format!(
            "database.hostname=127.0.0.1\ndatabase.port={}\ndatabase.dbname=postgres\n\
             database.user=shop\ndatabase.password=unused\n",
            postgres.port()
        );
        fs::write(&common, format!("{COMMON}{connection}")).expect("it was just made");
        let settings = variants.iter().map(|variant| {
            let path = directory.join(format!("{}.properties", variant.name));
            fs::write(&path, variant.properties).expect("it was just made");
            path
        });

        let log = debezium_home().join("capture.log");
        let output = File::create(&log).expect("the build directory is writable");
        let process = Command::new("java")
            // A quick start matters more than peak speed.
            .args(["-Xms64m", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"])
            .args(["-cp", &installation.classpath(), "Capture"])
            .arg(&directory)
            .arg(&common)
            .args(settings)
            .stdin(Stdio::piped())
            .stdout(output.try_clone().expect("a file handle can be shared"))
            .stderr(output)
            .spawn()
            .expect("`java` ran a moment ago");
        Self { process, log, variants, directory }
    }

    pub(super) fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Waits until all snapshots are done and all engines follow the log.
    ///
    /// A replication slot alone would not do: it exists before the snapshot's rows are read, and a
    /// TRUNCATE that comes between is seen by the older snapshot too.
    pub(super) async fn streaming(&mut self, postgres: &Postgres) {
        let wanted = self.variants.len().to_string();
        eventually(STREAMING_DEADLINE, "all engines to stream", async || {
            if let Some(status) = self.process.try_wait().expect("it is our child") {
                panic!("Debezium ended by itself ({status}):\n{}", tail(&self.log));
            }
            let now = postgres
                .run("SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'")
                .await;
            (now == wanted).then_some(()).ok_or(format!("{now} of {wanted}"))
        })
        .await;
    }

    /// Waits until every engine has emitted what its `capture.until` names; returns the records in the
    /// order of the variants.
    pub(super) async fn finish(mut self) -> Vec<Vec<Record>> {
        let status = eventually(FINISH_DEADLINE, "all engines to come to the end", async || {
            let status = self.process.try_wait().expect("it is our child");
            status.ok_or_else(|| tail(&self.log))
        })
        .await;
        assert!(status.success(), "Debezium failed ({status}):\n{}", tail(&self.log));
        let records = |variant: &Variant| {
            let file = self.directory.join(format!("{}.jsonl", variant.name));
            super::parse(&fs::read_to_string(file).expect("each engine writes its file"))
        };
        self.variants.iter().map(records).collect()
    }
}

impl Drop for Engines {
    fn drop(&mut self) {
        // An error tells that it has ended already.
        drop(self.process.kill());
        if let Err(error) = self.process.wait() {
            eprintln!("cannot await the end of Debezium: {error}");
        }
    }
}
