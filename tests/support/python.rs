//! Python environments with what a test needs, installed where they are missing.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const REMEDY: &str = "It takes Python 3.11 or later with venv and pip on the PATH. On Debian: \
     apt-get install python3 python3-venv.";

/// Gives the directory of an environment's programs, with everything installed that the
/// `requirements` name. Blocks.
pub(crate) fn environment(name: &str, requirements: &Path) -> PathBuf {
    let home = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::create_dir_all(&home).unwrap();
    // Held until the process has its Python: another test process waits for it.
    let lock = File::create(home.join("lock")).unwrap();
    lock.lock().unwrap();
    let wanted = fs::read_to_string(requirements).unwrap();
    let programs = home.join("venv").join("bin");
    let (python, marker) = (programs.join("python"), home.join("installed-from.txt"));
    if python.exists() && fs::read_to_string(&marker).is_ok_and(|made| made == wanted) {
        return programs;
    }
    let venv = run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(home.join("venv")));
    assert!(venv.status.success(), "cannot make an environment. {REMEDY}\n{}", told(&venv));
    let pip = run(Command::new(&python)
        .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement"])
        .arg(requirements));
    assert!(pip.status.success(), "cannot install {name}. {REMEDY}\n{}", told(&pip));
    fs::write(&marker, wanted).unwrap();
    programs
}

pub(crate) fn run(command: &mut Command) -> Output {
    command.output().unwrap_or_else(|error| panic!("cannot run {command:?}: {error}. {REMEDY}"))
}

/// What a program has said.
pub(crate) fn told(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    format!("{}{}", text(&output.stdout), text(&output.stderr))
}
