//! What only time and numbers show: members that come, go and are killed under load (bounce), and
//! hours of faults (soak). A program of its own, because a run takes arguments and reports figures.
//!
//! ```sh
//! cargo test --test endurance                                   # the short forms, as in `cargo test`
//! cargo test --test endurance -- bounce --kills 200             # the long form of the bounce
//! cargo test --test endurance -- soak --minutes 30              # the long form of the soak
//! ```
//!
//! `--seed N` repeats the decisions of an earlier run, which prints its seed; what they meet is as
//! random as the machine. Any fault ends the program with a panic and what the members said.
//!
//! Not here: single faults at chosen moments (`tests/promises`).

#![cfg(test)]

#[path = "../support/mod.rs"]
mod support;

mod arguments;
mod bounce;
mod figures;
mod fleet;
mod load;
mod membership;
mod scene;
mod soak;

use self::arguments::{Arguments, Form};

fn main() {
    let arguments = match Arguments::parse(std::env::args().skip(1)) {
        Ok(arguments) => arguments,
        Err(mistake) => {
            eprintln!("{mistake}");
            std::process::exit(2);
        }
    };
    if arguments.list {
        for form in Form::ALL {
            println!("{}: test", form.name());
        }
        return;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    for form in &arguments.forms {
        println!("{} with seed {}", form.name(), arguments.seed);
        match form {
            Form::Bounce => runtime.block_on(bounce::run(&arguments)),
            Form::Soak => runtime.block_on(soak::run(&arguments)),
        }
    }
}
