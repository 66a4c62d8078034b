//! `ldsink completions`: completion scripts for shells.

use clap::{Args, CommandFactory};
use clap_complete::{Shell, generate};

use super::{Cli, Exit, print};

/// Print a shell completion script, for example into ~/.local/share/bash-completion/completions.
#[derive(Debug, Args)]
pub(super) struct CompletionsArgs {
    shell: Shell,
}

pub(super) fn complete(args: &CompletionsArgs) -> Exit {
    // Into memory first: the generator panics when its output goes away (`| head`).
    let mut script = Vec::new();
    generate(args.shell, &mut Cli::command(), "ldsink", &mut script);
    print(String::from_utf8_lossy(&script).trim_end());
    Exit::Success
}
