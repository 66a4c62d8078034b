//! Whole processes side by side: the same topic of a real Apache Kafka into the same HTTP sink, once
//! through each contender, and what each record costs.
//!
//! ```sh
//! cargo bench --bench whole                              # every workload and contender, 5 runs each
//! cargo bench --bench whole -- plain --runs 3            # one workload
//! cargo bench --bench whole -- plain --only ldsink,floor # some contenders
//! ```
//!
//! What counts is the processor time of the contender's own process for a record, between the end of
//! the warm-up and the last record; then its memory. Wall-clock rates are comparable within one run
//! only: Kafka, the sink and the contender share the machine.
//!
//! The table is printed and appended to `benches/results.md`, with date, machine and versions.

#![cfg(test)]

#[path = "../../tests/support/mod.rs"]
mod support;

mod arguments;
mod contender;
mod floor;
mod measure;
mod process;
mod raw;
mod sink;
mod table;
mod workload;

use self::arguments::{Arguments, Role};

fn main() {
    let arguments = match Arguments::parse(std::env::args().skip(1)) {
        Ok(arguments) => arguments,
        Err(mistake) => {
            eprintln!("{mistake}");
            std::process::exit(2);
        }
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    match arguments.role {
        Role::Bench(bench) => runtime.block_on(measure::run(&bench)),
        Role::Sink(settings) => runtime.block_on(sink::run(settings)),
        Role::Raw(settings) => raw::run(&settings, &runtime),
        Role::Floor(settings) => floor::run(&settings, &runtime),
        // What `cargo test --benches` asks for.
        Role::Nothing => {}
    }
}
