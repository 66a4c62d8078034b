//! `ldsink completions`: completion scripts for shells.

use clap::{Args, CommandFactory};
use clap_complete::{Shell, generate};

use super::{Cli, Exit};

/// Print a shell completion script, for example into ~/.local/share/bash-completion/completions.
#[derive(Debug, Args)]
pub(super) struct CompletionsArgs {
    shell: Shell,
}

pub(super) fn print(args: &CompletionsArgs) -> Exit {
    generate(args.shell, &mut Cli::command(), "ldsink", &mut std::io::stdout());
    Exit::Success
}
