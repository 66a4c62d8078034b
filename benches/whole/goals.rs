//! What was to be reached, line by line, judged by the runs of one go.
//!
//! A ratio is that of two medians; its spread is over the ratios of the runs that followed each other.

use crate::contender::Contender::{self, Connect, ConnectBytes, Floor, Ldsink, Raw, Telegraf};
use crate::measure::{Figures, LINGER};
use crate::table::{Spread, Table, grouped, peak_rss};

/// Memory is handed out in pages and arenas; what grows with the backlog shows as more than this.
const RSS_NOISE_MB: f64 = 1.0;
/// How much later than the linger an event may be.
const LATER_MS: f64 = 30.0;

#[derive(Debug, Clone, Copy)]
enum Bound {
    AtLeast(f64),
    AtMost(f64),
}

/// One line.
#[derive(Debug)]
struct Goal {
    figure: &'static str,
    bound: Bound,
    unit: Unit,
    reached: Result<Spread, String>,
}

#[derive(Debug, Clone, Copy)]
enum Unit {
    /// So many times.
    Ratio,
    PerCpuSecond,
    Megabytes,
    Milliseconds,
}

/// The table of all lines.
pub(crate) fn table(tables: &[Table]) -> String {
    let lines = events(tables).into_iter().chain(peers(tables)).chain(limits(tables));
    let lines: Vec<String> = lines.map(|goal| goal.line()).collect();
    format!("| figure | wanted | reached | |\n|---|---|---|---|\n{}\n", lines.join("\n"))
}

fn events(tables: &[Table]) -> [Goal; 5] {
    let per_second = |it: &Figures| 1e9 / it.cpu_ns;
    let than = |workload, contender| ratio(tables, (workload, contender), ("plain", Ldsink));
    [
        Goal::new(
            "plain JSON: records per CPU second, against *floor*",
            Bound::AtLeast(0.6),
            than("plain", Floor),
        ),
        Goal::new(
            "plain JSON: records per CPU second, against *raw*",
            Bound::AtLeast(0.35),
            than("plain", Raw),
        ),
        Goal {
            unit: Unit::PerCpuSecond,
            ..Goal::new(
                "plain JSON: records per CPU second (for orientation)",
                Bound::AtLeast(500_000.0),
                spread(tables, "plain", per_second),
            )
        },
        Goal::new(
            "records per CPU second with gzip, against without",
            Bound::AtLeast(0.8),
            ratio(tables, ("plain", Ldsink), ("plain-gzip", Ldsink)),
        ),
        Goal::new(
            "time per record of Debezium with schema, against without",
            Bound::AtMost(2.2),
            ratio(tables, ("debezium-schema", Ldsink), ("debezium", Ldsink)),
        ),
    ]
}

fn peers(tables: &[Table]) -> [Goal; 4] {
    let than = |contender| ratio(tables, ("plain", contender), ("plain", Ldsink));
    [
        Goal::new(
            "records per CPU second, against Bento or Redpanda Connect",
            Bound::AtLeast(5.0),
            Err("neither can be had where this was run; see Telegraf".to_owned()),
        ),
        Goal::new(
            "records per CPU second, against Telegraf, which stands for engines in Go",
            Bound::AtLeast(5.0),
            than(Telegraf),
        ),
        Goal::new(
            "records per CPU second, against Kafka Connect (JSON converter, own minimal HTTP sink)",
            Bound::AtLeast(8.0),
            than(Connect),
        ),
        Goal::new(
            "records per CPU second, against Kafka Connect (raw bytes, own minimal HTTP sink)",
            Bound::AtLeast(8.0),
            than(ConnectBytes),
        ),
    ]
}

fn limits(tables: &[Table]) -> [Goal; 5] {
    let lateness = found(tables, "steady").and_then(|table| {
        let quantiles = table.lateness(Ldsink).ok_or_else(|| failure(table, Ldsink))?;
        Ok(quantiles[2])
    });
    let growth = found(tables, "backlog10m").and_then(|table| {
        let figures = table.figures(Ldsink).ok_or_else(|| failure(table, Ldsink))?;
        let grown = figures.iter().map(|it| it.rss_mb.map(|[early, late]| late - early));
        let grown: Option<Vec<f64>> = grown.collect();
        let too_short = || "it went by too fast to see".to_owned();
        grown.and_then(|it| Spread::of(it.into_iter())).ok_or_else(too_short)
    });
    [
        Goal {
            unit: Unit::Megabytes,
            ..Goal::new(
                "peak RSS with 150 partitions and a full backlog",
                Bound::AtMost(64.0),
                spread(tables, "plain-150-partitions", peak_rss),
            )
        },
        Goal::new(
            "time per record with 20 routes on other topics, against 1 route",
            Bound::AtMost(1.05),
            ratio(tables, ("plain-20-routes", Ldsink), ("plain", Ldsink)),
        ),
        Goal::new(
            "time per membership change with 10,000 segments, against 1",
            Bound::AtMost(1.5),
            ratio(tables, ("members-10000-segments", Ldsink), ("members-1-segment", Ldsink)),
        ),
        Goal {
            unit: Unit::Milliseconds,
            ..Goal::new(
                "added latency, p99, at 1,000 events per second and a linger of 100 ms",
                Bound::AtMost(LINGER.as_secs_f64() * 1e3 + LATER_MS),
                lateness,
            )
        },
        Goal {
            unit: Unit::Megabytes,
            ..Goal::new(
                "10 million records: growth of RSS after the first million",
                Bound::AtMost(RSS_NOISE_MB),
                growth,
            )
        },
    ]
}

// === impl Goal ===

impl Goal {
    fn new(figure: &'static str, bound: Bound, reached: Result<Spread, String>) -> Self {
        Self { figure, bound, unit: Unit::Ratio, reached }
    }

    fn line(&self) -> String {
        let Self { figure, bound, unit, reached } = self;
        let (word, limit) = match bound {
            Bound::AtLeast(limit) => ("at least", *limit),
            Bound::AtMost(limit) => ("at most", *limit),
        };
        let (reached, verdict) = match reached {
            Ok(Spread { least, median, most }) => {
                let met = match bound {
                    Bound::AtLeast(limit) => median >= limit,
                    Bound::AtMost(limit) => median <= limit,
                };
                let shown = |it: &f64| unit.show(*it);
                let reached = format!("{} ({} to {})", shown(median), shown(least), shown(most));
                (reached, if met { "met" } else { "**not met**" })
            }
            Err(why) => (why.clone(), "not measured"),
        };
        format!("| {figure} | {word} {} | {reached} | {verdict} |", unit.show(limit))
    }
}

// === impl Unit ===

impl Unit {
    fn show(self, number: f64) -> String {
        match self {
            Self::Ratio => format!("{number:.2}"),
            Self::PerCpuSecond => grouped(number),
            Self::Megabytes => format!("{number:.1} MB"),
            Self::Milliseconds => format!("{number:.0} ms"),
        }
    }
}

/// How much more time a record takes one contender than another.
fn ratio(
    tables: &[Table],
    (workload, contender): (&str, Contender),
    (base_workload, base): (&str, Contender),
) -> Result<Spread, String> {
    let (table, base_table) = (found(tables, workload)?, found(tables, base_workload)?);
    let figures = table.figures(contender).ok_or_else(|| failure(table, contender))?;
    let bases = base_table.figures(base).ok_or_else(|| failure(base_table, base))?;
    let pairs = figures.iter().zip(&bases).map(|(its, base)| its.cpu_ns / base.cpu_ns);
    let nothing = || "no runs".to_owned();
    let spread = Spread::of(pairs).ok_or_else(nothing)?;
    let median = |its: &[&Figures]| {
        Spread::of(its.iter().map(|it| it.cpu_ns)).map(|it| it.median).ok_or_else(nothing)
    };
    Ok(Spread { median: median(&figures)? / median(&bases)?, ..spread })
}

fn spread(
    tables: &[Table],
    workload: &str,
    figure: impl Fn(&Figures) -> f64,
) -> Result<Spread, String> {
    let table = found(tables, workload)?;
    table.spread(Ldsink, figure).ok_or_else(|| failure(table, Ldsink))
}

fn found<'t>(tables: &'t [Table], workload: &str) -> Result<&'t Table, String> {
    let found = tables.iter().find(|table| table.workload.name == workload);
    found.ok_or_else(|| format!("`{workload}` was not run"))
}

fn failure(table: &Table, contender: Contender) -> String {
    let why = table.failure(contender).unwrap_or_else(|| "did not take part".to_owned());
    format!("{}: {why}", contender.name())
}
