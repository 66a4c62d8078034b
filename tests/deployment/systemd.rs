//! The unit for systemd, checked by systemd's own tool. No service is started.

use std::fs;
use std::process::{Command, Output};

use tempfile::TempDir;

use crate::compose::LEAVING_SECONDS;
use crate::configuration::configuration;
use crate::files::text;

const UNIT: &str = "config/systemd/ldsink.service";
const PROGRAM: &str = "/usr/local/bin/ldsink";
/// In tenths of systemd's points, where less is better; a service without any restriction has 96.
const MOST_EXPOSED: &str = "20";

/// The unit with the program that was just built, and with `from` replaced.
fn analyze(arguments: &[&str], from: &str, to: &str) -> Output {
    let directory = TempDir::new().unwrap();
    let file = directory.path().join("ldsink.service");
    let unit = text(UNIT).replace(PROGRAM, env!("CARGO_BIN_EXE_ldsink"));
    assert!(unit.contains(from), "the unit has no {from}");
    fs::write(&file, unit.replacen(from, to, 1)).unwrap();
    Command::new("systemd-analyze")
        .args(arguments)
        .arg(file)
        .output()
        .expect("systemd-analyze; on Debian: apt-get install systemd")
}

fn setting(name: &str) -> String {
    let unit = text(UNIT);
    let prefix = format!("{name}=");
    unit.lines().find_map(|line| line.strip_prefix(&prefix)).expect(name).to_owned()
}

#[test]
fn systemd_takes_the_unit() {
    let verify = ["verify", "--man=no"];
    let checked = analyze(&verify, "Type=exec", "Type=exec");
    assert!(checked.status.success() && checked.stderr.is_empty(), "{checked:?}");
    let checked = analyze(&verify, "Type=exec", "Type=exact");
    assert!(!checked.stderr.is_empty(), "it sees no mistake");
}

#[test]
fn the_unit_is_confined() {
    let security = ["security", "--offline=true", "--no-pager", "--threshold", MOST_EXPOSED];
    let checked = analyze(&security, "DynamicUser=yes", "DynamicUser=yes");
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stdout));
    let checked = analyze(&security, "CapabilityBoundingSet=\n", "");
    assert!(!checked.status.success(), "it sees no difference");
}

#[test]
fn it_starts_what_there_is_and_gives_it_the_time_to_stop() {
    let start = setting("ExecStart");
    assert_eq!(start, format!("{PROGRAM} run --config /etc/ldsink/ldsink.yaml"));
    let stop: u64 = setting("TimeoutStopSec").parse().unwrap();
    // The default, as there.
    let drain = configuration(&[]).pipeline.drain_deadline.as_secs();
    assert!(stop >= drain + LEAVING_SECONDS, "{stop} s for a drain of {drain} s");
    // What `ldsink run` ends with when only a person can help.
    let missing = Command::new(env!("CARGO_BIN_EXE_ldsink"))
        .args(["run", "--config", "/nowhere/ldsink.yaml"])
        .output()
        .unwrap();
    let code = missing.status.code().unwrap().to_string();
    assert_eq!(setting("RestartPreventExitStatus"), code);
}
