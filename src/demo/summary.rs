//! Says what happened, in words for people and as one JSON object for programs.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

use indicatif::HumanCount;
use serde_json::{Value, json};

use super::verdict::Verdict;
use crate::pipeline::source::Stopped;

/// Where everything is.
#[derive(Debug, Clone)]
pub(super) struct Addresses {
    pub(super) kafka: String,
    pub(super) sandbox: String,
    pub(super) admin: String,
}

/// How the demo's main part came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Finish {
    /// Every record was settled.
    Complete,
    /// Nothing moved any more.
    Stalled,
    /// Ended by a second stop signal, with records still under way.
    CutShort,
}

/// The outcome of a demo.
#[derive(Debug)]
pub struct Report {
    pub(super) verdict: Verdict,
    pub(super) finish: Finish,
    /// How the pipeline stopped; `None` while it runs.
    pub(super) stopped: Option<Stopped>,
    /// Of the records asked for, when it ended early.
    pub(super) asked: u64,
    /// From the first record sent until all were settled.
    pub(super) elapsed: Duration,
    /// The generator's pace, when it was the same throughout.
    pub(super) per_second: Option<u32>,
}

/// What is said before anything happens.
pub(super) fn opening(records: u64, per_second: u32, at: &Addresses) -> String {
    format!(
        "\
ldsink demo: a Kafka broker, the real pipeline and a stand-in for LaunchDarkly, in this process.

  a shop's orders ──▶ Kafka ──▶ ldsink ──▶ LaunchDarkly (a stand-in)
                                   └─────▶ dead letters (a Kafka topic)

  {} changes as Debezium writes them, {} a second; Kafka at {}
",
        HumanCount(records),
        HumanCount(per_second.into()),
        at.kafka,
    )
}

/// What is said to people who want to look around.
pub(super) fn addresses(at: &Addresses, per_second: u32) -> String {
    let Addresses { kafka, sandbox, admin } = at;
    format!(
        "\
Everything stays up, with {per_second} changes a second, until Ctrl-C:

  Kafka              {kafka}   (no TLS, no password; this machine only)
  LaunchDarkly       {sandbox}   (the stand-in; / lists what it can be asked)
    what counts      {sandbox}/sandbox/journal
    every event      {sandbox}/sandbox/events?limit=3
  ldsink             {admin}
    metrics          {admin}/metrics
    readiness        {admin}/ready

The stand-in remembers every event: memory grows by some 100 MB an hour.
"
    )
}

/// What is said last.
pub(super) const NEXT: &str = "
  Look around: `ldsink demo --keep-running` leaves all of this up and tells where it is.";

// === impl Report ===

impl Report {
    /// Whether nothing was lost, counted twice or found where it does not belong, and everything
    /// ended as it should.
    pub fn is_success(&self) -> bool {
        self.verdict.is_clean()
            && self.finish == Finish::Complete
            && !matches!(self.stopped, Some(Stopped::Unfinished))
    }

    /// One JSON object on one line.
    pub fn json(&self) -> String {
        let v = &self.verdict;
        let filtered: BTreeMap<_, _> =
            v.filtered.iter().map(|(filter, count)| (filter.as_str(), count)).collect();
        let dead: BTreeMap<_, _> =
            v.dead_lettered.iter().map(|(reason, count)| (reason.as_str(), count)).collect();
        let latency = |percent| v.latency_ms(percent).map_or(Value::Null, Value::from);
        json!({
            "produced": v.produced,
            "delivered": v.delivered,
            "filtered": v.filtered_total(),
            "filtered_by_reason": filtered,
            "dead_lettered": v.dead_lettered_total(),
            "dead_lettered_by_reason": dead,
            "lost": v.lost,
            "counted_twice": v.counted_twice,
            "unexpected": v.unexpected(),
            "elapsed_seconds": millis(self.elapsed),
            "records_per_second": self.throughput(),
            "latency_ms": {
                "p50": latency(50), "p95": latency(95), "p99": latency(99), "max": latency(100),
            },
            "complete": self.finish == Finish::Complete,
            "success": self.is_success(),
        })
        .to_string()
    }

    /// The summary.
    pub(super) fn in_words(&self) -> String {
        let mut out = String::new();
        // Writing to a String cannot fail.
        let written = self.write(&mut out);
        debug_assert!(written.is_ok());
        out
    }

    fn write(&self, out: &mut String) -> std::fmt::Result {
        let v = &self.verdict;
        writeln!(out, "{}\n", self.headline())?;
        line(out, v.produced, "changes produced")?;
        line(out, v.delivered, "delivered: new orders, each counted once")?;
        line(out, v.filtered_total(), "filtered, as the route says:")?;
        for (filter, count) in &v.filtered {
            part(out, *count, filter.in_words())?;
        }
        line(out, v.dead_lettered_total(), "dead-lettered: malformed on purpose, kept in Kafka:")?;
        for (reason, count) in &v.dead_lettered {
            part(out, *count, reason.as_str())?;
        }
        line(out, v.lost, "lost")?;
        line(out, v.counted_twice, "counted twice")?;
        if v.unexpected() > 0 {
            line(out, v.unexpected(), "found where they do not belong")?;
        }
        let (seconds, throughput) = (millis(self.elapsed), HumanCount(self.throughput()));
        write!(out, "\n  {seconds:.1} s, {throughput} changes a second")?;
        if let Some(pace) = self.per_second {
            write!(
                out,
                ", start and end included (the generator's pace: {})",
                HumanCount(pace.into())
            )?;
        }
        writeln!(out)?;
        self.write_latency(out)?;
        write!(
            out,
            "\n  Not ldsink's own counters: the stand-in's journal and the dead-letter topic were \
             compared\n  with the generator's list, order by order."
        )
    }

    fn write_latency(&self, out: &mut String) -> std::fmt::Result {
        let [Some(p50), Some(p95), Some(p99), Some(max)] =
            [50, 95, 99, 100].map(|percent| self.verdict.latency_ms(percent))
        else {
            return Ok(());
        };
        writeln!(
            out,
            "  from change to LaunchDarkly: half within {p50} ms, 95 % within {p95} ms, 99 % \
             within {p99} ms, all within {max} ms"
        )
    }

    fn headline(&self) -> String {
        let early = if self.verdict.produced < self.asked {
            let (made, asked) = (HumanCount(self.verdict.produced), HumanCount(self.asked));
            format!(" (stopped early: {made} of {asked} changes)")
        } else {
            String::new()
        };
        let sentence = match (self.finish, self.stopped) {
            (Finish::Complete, Some(Stopped::Unfinished)) => {
                "The pipeline did not stop cleanly within its deadline."
            }
            (Finish::Complete, _) if self.verdict.is_clean() => {
                "Nothing lost, nothing counted twice."
            }
            (Finish::Complete, _) => "The promise is broken: see the last lines of the list.",
            (Finish::Stalled, _) => {
                "Nothing moved any more, so the demo gave up; what had not arrived is called lost."
            }
            (Finish::CutShort, _) => {
                "Cut short: what was still under way is called lost, though Kafka has it."
            }
        };
        format!("{sentence}{early}")
    }

    fn throughput(&self) -> u64 {
        let per_second =
            u128::from(self.verdict.produced) * 1_000 / self.elapsed.as_millis().max(1);
        u64::try_from(per_second).unwrap_or(u64::MAX)
    }
}

fn line(out: &mut String, count: u64, words: &str) -> std::fmt::Result {
    writeln!(out, "  {:>9}  {words}", HumanCount(count).to_string())
}

fn part(out: &mut String, count: u64, words: &str) -> std::fmt::Result {
    writeln!(out, "             {:>9}  {words}", HumanCount(count).to_string())
}

/// Seconds to the millisecond.
fn millis(duration: Duration) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "a demo lasts fewer than 2^53 milliseconds")]
    let seconds = duration.as_millis() as f64 / 1_000.0;
    seconds
}
