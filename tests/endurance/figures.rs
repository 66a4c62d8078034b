//! What a run reports.

use std::fmt::{Display, Formatter};
use std::time::Duration;

/// The figures of one part of the bounce.
#[derive(Debug, Default, Clone)]
pub(crate) struct Figures {
    pub(crate) part: String,
    pub(crate) records: u64,
    pub(crate) events: u64,
    pub(crate) joins: usize,
    pub(crate) stops: usize,
    pub(crate) kills: usize,
    pub(crate) freezes: usize,
    pub(crate) assignments: usize,
    pub(crate) lost_assignments: usize,
    /// Starts that Kafka refused because a dead static member was not missed yet.
    pub(crate) unreleased: usize,
    pub(crate) lost: usize,
    /// After stops only: requests that came again although they had been answered.
    pub(crate) repeated: Option<usize>,
    /// Requests that came again and were dropped by their payload ID.
    pub(crate) dropped: u64,
    pub(crate) counted_twice: usize,
    pub(crate) took: Duration,
}

/// Least squares: how much `y` grows per `x`.
pub(crate) fn slope(points: &[(f64, f64)]) -> f64 {
    let many = f64::from(u32::try_from(points.len()).unwrap());
    let mean = |pick: fn(&(f64, f64)) -> f64| points.iter().map(pick).sum::<f64>() / many;
    let (x, y) = (mean(|p| p.0), mean(|p| p.1));
    let covariance: f64 = points.iter().map(|p| (p.0 - x) * (p.1 - y)).sum();
    let variance: f64 = points.iter().map(|p| (p.0 - x).powi(2)).sum();
    if variance > 0.0 { covariance / variance } else { 0.0 }
}

// === impl Figures ===

impl Figures {
    pub(crate) const HEADING: &str = "\
| group | records | events | joins | stops | kills | freezes | assignments | lost | repeated after stops | \
repeats dropped | counted twice | duration |\n|---|---|---|---|---|---|---|---|---|---|---|---|---|";
}

impl Display for Figures {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        let repeated = self.repeated.map_or_else(|| "-".to_owned(), |n| n.to_string());
        write!(
            f,
            "| {} | {} | {} | {} | {} | {} | {} | {} | {} | {repeated} | {} | {} | {:.0} s |",
            self.part,
            self.records,
            self.events,
            self.joins,
            self.stops,
            self.kills,
            self.freezes,
            self.assignments,
            self.lost,
            self.dropped,
            self.counted_twice,
            self.took.as_secs_f64(),
        )
    }
}
