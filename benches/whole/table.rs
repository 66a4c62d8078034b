//! The figures of one workload, as medians over the runs, with how far they spread.

use std::fmt::{self, Display, Formatter};

use crate::contender::Contender;
use crate::measure::Figures;
use crate::workload::Workload;

/// What came of one run, or why nothing.
type Outcome = Result<Figures, String>;

#[derive(Debug)]
pub(crate) struct Table {
    pub(crate) workload: Workload,
    rows: Vec<(Contender, Vec<Outcome>)>,
}

/// A figure over several runs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Spread {
    pub(crate) least: f64,
    pub(crate) median: f64,
    pub(crate) most: f64,
}

// === impl Table ===

impl Table {
    pub(crate) fn new(workload: Workload) -> Self {
        Self { workload, rows: Vec::new() }
    }

    pub(crate) fn add(&mut self, contender: Contender, outcome: Outcome) {
        match self.rows.iter_mut().find(|(its, _)| *its == contender) {
            Some((_, runs)) => runs.push(outcome),
            None => self.rows.push((contender, vec![outcome])),
        }
    }

    pub(crate) fn outcomes(&self, contender: Contender) -> Option<&[Outcome]> {
        let row = self.rows.iter().find(|(its, _)| *its == contender);
        row.map(|(_, outcomes)| outcomes.as_slice())
    }

    /// The figures of a contender, provided that it delivered everything in every run.
    pub(crate) fn figures(&self, contender: Contender) -> Option<Vec<&Figures>> {
        self.outcomes(contender)?.iter().map(|outcome| outcome.as_ref().ok()).collect()
    }

    /// A figure of a contender over its runs.
    pub(crate) fn spread(
        &self,
        contender: Contender,
        figure: impl Fn(&Figures) -> f64,
    ) -> Option<Spread> {
        let figures = self.figures(contender)?;
        Spread::of(figures.into_iter().map(figure))
    }

    /// Why a contender has no figures.
    pub(crate) fn failure(&self, contender: Contender) -> Option<String> {
        let outcomes = self.outcomes(contender)?;
        let failures: Vec<_> = outcomes.iter().filter_map(|it| it.as_ref().err()).collect();
        let reason = failures.first()?.lines().next().unwrap_or_default();
        Some(format!("{} of {} runs: {reason}", failures.len(), outcomes.len()))
    }

    fn row(&self, contender: Contender, f: &mut Formatter<'_>) -> fmt::Result {
        let title = contender.title();
        if let Some(failure) = self.failure(contender) {
            return writeln!(f, "| {title} | **no figures**, {failure} | | | | | | |");
        }
        let of = |figure: fn(&Figures) -> f64| self.spread(contender, figure).ok_or(fmt::Error);
        let (cpu, rate, rss) = (of(|it| it.cpu_ns)?, of(|it| it.per_second)?, of(peak_rss)?);
        let figures = self.figures(contender).ok_or(fmt::Error)?;
        let late = self.lateness(contender).map_or_else(String::new, |quantiles| {
            quantiles.map(|it| format!("{:.0}", it.median)).join(" / ") + " ms"
        });
        writeln!(
            f,
            "| {title} | {} | {:.0} ns ({:.0} to {:.0}) | {} | {:.1} MB ({:.1} to {:.1}) | {} | {} | {late} |",
            grouped(1e9 / cpu.median),
            cpu.median,
            cpu.least,
            cpu.most,
            grouped(rate.median),
            rss.median,
            rss.least,
            rss.most,
            figures.iter().map(|it| it.requests).max().unwrap_or_default(),
            figures.iter().map(|it| it.repeated).max().unwrap_or_default(),
        )
    }

    /// Median, 90 %, 99 % and most, each over the runs.
    pub(crate) fn lateness(&self, contender: Contender) -> Option<[Spread; 4]> {
        let figures = self.figures(contender)?;
        let runs: Option<Vec<[u64; 4]>> = figures.iter().map(|it| it.latency_ms).collect();
        let runs = runs?;
        #[expect(clippy::cast_precision_loss, reason = "milliseconds")]
        let quantile = |at: usize| Spread::of(runs.iter().map(|its| its[at] as f64));
        Some([quantile(0)?, quantile(1)?, quantile(2)?, quantile(3)?])
    }
}

impl Display for Table {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Workload { name, shape, partitions, records, gzip, routes, segments, delay_ms, .. } =
            &self.workload;
        writeln!(f, "#### {name}\n")?;
        writeln!(
            f,
            "{records} records ({shape:?}) after {} of warm-up, partitions {partitions}, routes {routes}, \
             segments {segments}, gzip {gzip}, sink delay {delay_ms} ms.\n",
            self.workload.warm_up()
        )?;
        writeln!(
            f,
            "| | records per CPU second | CPU per record | records per second by the clock | peak RSS | requests | \
             repeated records | late p50 / p90 / p99 / most |"
        )?;
        writeln!(f, "|---|---|---|---|---|---|---|---|")?;
        for (contender, _) in &self.rows {
            self.row(*contender, f)?;
        }
        Ok(())
    }
}

// === impl Spread ===

impl Spread {
    /// `None` of nothing.
    pub(crate) fn of(figures: impl Iterator<Item = f64>) -> Option<Self> {
        let mut all: Vec<f64> = figures.collect();
        all.sort_by(f64::total_cmp);
        let (least, most) = (*all.first()?, *all.last()?);
        Some(Self { least, median: all[all.len() / 2], most })
    }
}

pub(crate) fn peak_rss(figures: &Figures) -> f64 {
    figures.peak_rss_mb
}

/// A whole number with its thousands apart.
pub(crate) fn grouped(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut text = String::new();
    for (n, digit) in digits.chars().enumerate() {
        if n > 0 && (digits.len() - n).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
