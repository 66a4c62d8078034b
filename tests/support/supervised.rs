//! A process that cannot outlive its test: it runs below a shell script that holds the reading end of a
//! pipe from this process.
//!
//! Orders (signals) go down the pipe; when it closes, the script kills what it runs. That holds for a
//! panic, a dropped value, an ordinary exit and a SIGKILL alike, because in each of them the kernel
//! closes the pipe. Nothing here sends a signal to a process id, so none can hit a stranger that
//! inherited the number.
//!
//! Not here: the scripts (beside whoever starts them). Each reads names of signals, line by line, passes
//! them on, and ends with what it runs and with its exit status.

use std::fs::File;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};

/// What a signal does to a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Signal {
    /// An orderly end.
    Term,
    /// Death without a word, as by the kernel's memory killer.
    Kill,
    /// Silence with open connections, as of a stalled machine.
    Stop,
    /// The end of that silence.
    Cont,
}

/// A running script, what runs below it, and the pipe that keeps both alive.
#[derive(Debug)]
pub(crate) struct Supervised {
    supervisor: Child,
    orders: Option<ChildStdin>,
}

// === impl Signal ===

impl Signal {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Term => "TERM",
            Self::Kill => "KILL",
            Self::Stop => "STOP",
            Self::Cont => "CONT",
        }
    }
}

// === impl Supervised ===

impl Supervised {
    /// Starts the command, which is a supervisor's; what it says is added to the log.
    pub(crate) fn start(command: &mut Command, log: &Path) -> Self {
        let log = File::options().create(true).append(true).open(log).expect("logs are writable");
        let mut supervisor = command
            .stdin(Stdio::piped())
            .stdout(log.try_clone().expect("a file handle can be shared"))
            .stderr(log)
            // Ctrl-C goes to the terminal's whole group; the supervisor must outlive us to clean up.
            .process_group(0)
            .spawn()
            .unwrap_or_else(|error| panic!("cannot run {command:?}: {error}"));
        let orders = supervisor.stdin.take();
        Self { supervisor, orders }
    }

    /// Sends a signal and returns at once.
    pub(crate) fn order(&mut self, signal: Signal) {
        let orders = self.orders.as_mut().expect("the pipe closes in drop only");
        // The supervisor may be gone with its process; whoever waits for that sees it.
        if let Err(error) = writeln!(orders, "{}", signal.name()) {
            eprintln!("cannot send SIG{}: {error}", signal.name());
        }
    }

    /// Returns how it ended, if it has.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        self.supervisor.try_wait().expect("the supervisor is our child")
    }
}

impl Drop for Supervised {
    fn drop(&mut self) {
        drop(self.orders.take());
        // The supervisor ends right after its process's SIGKILL, so this wait is short.
        if let Err(error) = self.supervisor.wait() {
            eprintln!("cannot await a process's end: {error}");
        }
    }
}
