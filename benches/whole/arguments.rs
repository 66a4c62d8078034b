//! The command line: that of the bench, and those of the processes that it starts from itself.

use std::collections::VecDeque;
use std::fmt::Display;
use std::str::FromStr;

use crate::contender::Contender;
use crate::sink::SinkSettings;
use crate::workload::Workload;

/// What this process is.
#[derive(Debug)]
pub(crate) enum Role {
    Bench(Bench),
    Sink(SinkSettings),
    Raw(Yardstick),
    Floor(Yardstick),
    Nothing,
}

/// What to measure.
#[derive(Debug)]
pub(crate) struct Bench {
    pub(crate) workloads: Vec<Workload>,
    pub(crate) contenders: Vec<Contender>,
    pub(crate) runs: usize,
    /// Scales the number of records, so that a try is quick.
    pub(crate) scale: f64,
    /// Whether the table is appended to the results.
    pub(crate) keep: bool,
}

/// How a yardstick process reads and sends.
#[derive(Debug, Clone)]
pub(crate) struct Yardstick {
    pub(crate) bootstrap: String,
    pub(crate) topic: String,
    pub(crate) sink: String,
    pub(crate) gzip: bool,
    pub(crate) debezium: bool,
}

#[derive(Debug)]
pub(crate) struct Arguments {
    pub(crate) role: Role,
}

impl Arguments {
    pub(crate) fn parse(arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut words: VecDeque<String> = arguments.collect();
        let role = match words.front().map(String::as_str) {
            Some("as-sink") => Role::Sink(SinkSettings::parse(&mut words)?),
            Some("as-raw") => Role::Raw(yardstick(&mut words)?),
            Some("as-floor") => Role::Floor(yardstick(&mut words)?),
            // `cargo test --benches` runs a bench without this word.
            _ => match words.iter().position(|word| word == "--bench") {
                Some(at) => {
                    words.remove(at);
                    Role::Bench(bench(words)?)
                }
                None => Role::Nothing,
            },
        };
        Ok(Self { role })
    }
}

fn yardstick(words: &mut VecDeque<String>) -> Result<Yardstick, String> {
    words.pop_front();
    let mut next = |name: &str| words.pop_front().ok_or_else(|| format!("{name} is missing"));
    Ok(Yardstick {
        bootstrap: next("bootstrap")?,
        topic: next("topic")?,
        sink: next("sink")?,
        gzip: next("gzip")? == "true",
        debezium: next("debezium")? == "true",
    })
}

fn bench(mut words: VecDeque<String>) -> Result<Bench, String> {
    let mut bench = Bench {
        workloads: Vec::new(),
        contenders: Contender::ALL.to_vec(),
        runs: 5,
        scale: 1.0,
        keep: true,
    };
    while let Some(word) = words.pop_front() {
        let mut value = || words.pop_front().ok_or_else(|| format!("{word} takes a value"));
        match word.as_str() {
            "--runs" => bench.runs = number(&value()?)?,
            "--scale" => bench.scale = number(&value()?)?,
            "--only" => {
                bench.contenders = value()?.split(',').map(contender).collect::<Result<_, _>>()?;
            }
            "--no-results" => bench.keep = false,
            "all" => bench.workloads = Workload::all(),
            name => bench.workloads.push(Workload::named(name).ok_or_else(|| {
                let known: Vec<&str> = Workload::all().iter().map(|it| it.name).collect();
                format!("{name}: neither an option nor `all` nor one of {}", known.join(", "))
            })?),
        }
    }
    if bench.workloads.is_empty() {
        bench.workloads = Workload::usual();
    }
    Ok(bench)
}

fn contender(name: &str) -> Result<Contender, String> {
    let found = Contender::ALL.into_iter().find(|its| its.name() == name);
    found.ok_or_else(|| {
        let known = Contender::ALL.map(Contender::name);
        format!("{name}: not one of {}", known.join(", "))
    })
}

fn number<T: FromStr<Err: Display>>(text: &str) -> Result<T, String> {
    text.parse().map_err(|error| format!("{text}: {error}"))
}
