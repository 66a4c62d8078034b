//! Everything that one go of the bench has to say, and where it is kept.

use std::fmt::{self, Display, Formatter, Write as _};
use std::fs;
use std::path::Path;
use std::process::Command;

use crate::arguments::Bench;
use crate::contender::Contender;
use crate::support::kafka::kafka_version;
use crate::table::{Table, grouped};
use crate::workload::Workload;
use crate::{connect, goals, telegraf};

/// What the README shows of a whole go stands between these; `tests/readme.rs` looks for them.
const SHOWN: &str = "<!-- bench -->";
const SHOWN_END: &str = "<!-- end of bench -->";

#[derive(Debug)]
pub(crate) struct Report {
    runs: usize,
    scale: f64,
    tables: Vec<Table>,
    contenders: Vec<Contender>,
}

// === impl Report ===

impl Report {
    pub(crate) fn new(bench: &Bench, tables: Vec<Table>) -> Self {
        let contenders = bench.contenders.clone();
        Self { runs: bench.runs, scale: bench.scale, tables, contenders }
    }

    /// Whether ldsink itself delivered everything.
    pub(crate) fn is_sound(&self) -> bool {
        self.tables.iter().all(|table| table.failure(Contender::Ldsink).is_none())
    }

    /// Whether it is worth showing to users: everything was measured, at full length, often enough.
    fn is_whole(&self) -> bool {
        let ran =
            |workload: &Workload| self.tables.iter().any(|it| it.workload.name == workload.name);
        Workload::all().iter().all(ran)
            && Contender::ALL.iter().all(|contender| self.contenders.contains(contender))
            && self.runs >= 5
            && self.scale >= 1.0
    }

    /// Appends to the results, of which nothing is ever replaced.
    pub(crate) fn append(&self) {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/results.md");
        let mut text = fs::read_to_string(&file).unwrap_or_default();
        write!(text, "\n{self}").unwrap();
        fs::write(file, text).unwrap();
    }

    /// Records per CPU second: workloads down, contenders across.
    fn summary(&self) -> String {
        let contenders = &self.contenders;
        let titles: Vec<_> = contenders.iter().map(|it| it.title()).collect();
        let mut text = format!("| records per CPU second | {} |\n", titles.join(" | "));
        writeln!(text, "|---{}|", "|---".repeat(contenders.len())).unwrap();
        for table in &self.tables {
            let cells = contenders.iter().map(|contender| cell(table, *contender));
            let cells = cells.collect::<Vec<_>>().join(" | ");
            writeln!(text, "| {} | {cells} |", table.workload.name).unwrap();
        }
        text
    }
}

impl Display for Report {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let date = said(Command::new("date").args(["--utc", "+%Y-%m-%d %H:%M UTC"]));
        writeln!(f, "## {date}\n")?;
        if self.is_whole() {
            writeln!(f, "{SHOWN}\n")?;
        }
        let runs = match self.runs {
            1 => "One run".to_owned(),
            runs => format!("Medians of {runs} runs that took turns, with the least and the most"),
        };
        writeln!(f, "{runs}, {date}, {}.\n", surroundings())?;
        if self.scale < 1.0 {
            writeln!(f, "Only a try: {} of the records.\n", self.scale)?;
        }
        writeln!(f, "{}\n{}", goals::table(&self.tables), self.summary())?;
        if self.is_whole() {
            writeln!(f, "{SHOWN_END}\n")?;
        }
        for table in &self.tables {
            writeln!(f, "{table}")?;
        }
        Ok(())
    }
}

fn cell(table: &Table, contender: Contender) -> String {
    match table.spread(contender, |it| 1e9 / it.cpu_ns) {
        Some(spread) => grouped(spread.median),
        None if table.failure(contender).is_some() => "no figures".to_owned(),
        None => String::new(),
    }
}

/// The machine and the versions.
fn surroundings() -> String {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or("");
    let model = model.trim_start_matches(['\t', ' ', ':']);
    let cores = info.lines().filter(|line| line.starts_with("processor")).count();
    let (_, librdkafka) = rdkafka::util::get_rdkafka_version();
    let java = Command::new("java").arg("-version").output().map_or_else(
        |_| "none".to_owned(),
        |output| {
            let text = String::from_utf8_lossy(&output.stderr).into_owned();
            text.split('"').nth(1).unwrap_or("unknown").to_owned()
        },
    );
    format!(
        "{cores} cores ({model}) shared by Kafka, the sink and the contender; ldsink {} ({}), {}, \
         librdkafka {librdkafka}, Kafka {}, Telegraf {} ({}), Kafka Connect {} (Java {java})",
        env!("CARGO_PKG_VERSION"),
        said(Command::new("git").args(["rev-parse", "--short", "HEAD"])),
        said(Command::new("rustc").arg("--version")),
        kafka_version(),
        telegraf::version(),
        said(Command::new("go").args(["env", "GOVERSION"])),
        connect::version(),
    )
}

/// The first line that a command says.
fn said(command: &mut Command) -> String {
    let text = command.output().map(|output| output.stdout).unwrap_or_default();
    let text = String::from_utf8_lossy(&text).into_owned();
    text.lines().next().unwrap_or("unknown").trim().to_owned()
}
