//! Whole processes side by side: the same topic of a real Apache Kafka into the same HTTP sink, once
//! through each contender, and what each record costs.
//!
//! ```sh
//! cargo bench --bench whole                              # all but the long one, 5 runs each
//! cargo bench --bench whole -- all                       # the long one, too: what the README shows
//! cargo bench --bench whole -- plain --runs 3            # one workload
//! cargo bench --bench whole -- plain --only ldsink,floor # some contenders
//! ```
//!
//! What counts is the processor time of the contender's own process for a record, between the end of
//! the warm-up and the last record; then its memory. Wall-clock rates are comparable within one run
//! only: Kafka, the sink and the contender share the machine.
//!
//! What each contender is told is its best honest setting for the same job, see `ldsink`, `telegraf` and
//! `connect`. The runs of all workloads take turns, so that the machine's moods meet all alike. The table,
//! and what was to be reached (`goals`), are printed and appended to `benches/results.md`, with date,
//! machine and versions; `cargo test --test readme` holds the README to the newest.
//!
//! Telegraf needs Go and Connect needs Maven; without them their rows say so.

#![cfg(test)]

#[path = "../../tests/support/mod.rs"]
mod support;

mod arguments;
mod connect;
mod contender;
mod floor;
mod goals;
mod ldsink;
mod measure;
mod process;
mod raw;
mod record;
mod report;
mod sink;
mod table;
mod telegraf;
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
        Role::Bench(bench) => {
            if !runtime.block_on(measure::run(&bench)) {
                std::process::exit(1);
            }
        }
        Role::Sink(settings) => runtime.block_on(sink::run(settings)),
        Role::Raw(settings) => raw::run(&settings, &runtime),
        Role::Floor(settings) => floor::run(&settings, &runtime),
        // What `cargo test --benches` asks for.
        Role::Nothing => {}
    }
}
