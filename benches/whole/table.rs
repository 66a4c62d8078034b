//! The figures of one workload, as medians over the runs, with how far they spread.

use std::fmt::{self, Display, Formatter};
use std::fs;
use std::process::Command;

use crate::contender::Contender;
use crate::measure::Figures;
use crate::support::kafka::kafka_version;
use crate::workload::Workload;

#[derive(Debug)]
pub(crate) struct Table {
    workload: Workload,
    rows: Vec<(Contender, Vec<Figures>)>,
}

impl Table {
    pub(crate) fn new(workload: &Workload) -> Self {
        Self { workload: workload.clone(), rows: Vec::new() }
    }

    pub(crate) fn add(&mut self, contender: Contender, figures: Figures) {
        match self.rows.iter_mut().find(|(its, _)| *its == contender) {
            Some((_, runs)) => runs.push(figures),
            None => self.rows.push((contender, vec![figures])),
        }
    }
}

impl Display for Table {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Workload { name, shape, partitions, records, gzip, routes, delay_ms, .. } =
            &self.workload;
        let runs = self.rows.first().map_or(0, |(_, runs)| runs.len());
        writeln!(f, "### {name}, {}\n", date())?;
        writeln!(
            f,
            "{records} records ({shape:?}), {partitions} partitions, {routes} routes, gzip {gzip}, sink \
             delay {delay_ms} ms; medians of {runs} runs, with the least and the most; {}.\n",
            machine()
        )?;
        writeln!(
            f,
            "| | records per CPU second | CPU per record | by the clock | peak RSS | requests | repeated | late p50 / p90 / p99 / max |"
        )?;
        writeln!(f, "|---|---|---|---|---|---|---|---|")?;
        for (contender, runs) in &self.rows {
            let of = |figure: fn(&Figures) -> f64| Spread::of(runs.iter().map(figure));
            let cpu = of(|it| it.cpu_ns);
            let (rate, rss) = (of(|it| it.per_second), of(|it| it.peak_rss_mb));
            let last = runs.last().ok_or(fmt::Error)?;
            let late = last.latency_ms.map_or_else(String::new, |[p50, p90, p99, max]| {
                format!("{p50} / {p90} / {p99} / {max} ms")
            });
            writeln!(
                f,
                "| {} | {:.0} | {:.0} ns ({:.0} to {:.0}) | {:.0} /s | {:.1} MB | {} | {} | {late} |",
                contender.name(),
                1e9 / cpu.median,
                cpu.median,
                cpu.least,
                cpu.most,
                rate.median,
                rss.median,
                last.requests,
                runs.iter().map(|it| it.repeated).max().unwrap_or_default(),
            )?;
        }
        Ok(())
    }
}

struct Spread {
    least: f64,
    median: f64,
    most: f64,
}

impl Spread {
    fn of(figures: impl Iterator<Item = f64>) -> Self {
        let mut all: Vec<f64> = figures.collect();
        all.sort_by(f64::total_cmp);
        let at = |n: usize| all.get(n).copied().unwrap_or_default();
        Self { least: at(0), median: at(all.len() / 2), most: at(all.len() - 1) }
    }
}

fn date() -> String {
    let output = Command::new("date").args(["--utc", "+%Y-%m-%d %H:%M"]).output().unwrap();
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

fn machine() -> String {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or("");
    let model = model.trim_start_matches(['\t', ' ', ':']);
    let cores = info.lines().filter(|line| line.starts_with("processor")).count();
    format!(
        "{cores} cores ({model}), Kafka {}, ldsink {}",
        kafka_version(),
        env!("CARGO_PKG_VERSION")
    )
}
