//! Decides which configured faults strike a request.
//!
//! Rules are tried in the order given. A `delay` adds up and the search goes on; the first rule of
//! any other kind that strikes ends it.
//!
//! # Invariants
//! - F1: a rule with `times: n` strikes at most n requests, and only those that match it.
//! - F2: the same seed, rules and requests give the same strikes.
//!
//! Not here: carrying a fault out (`reception`, `line`), limits (`limits`).

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::sandbox::operation::{Operation, Place};

/// One rule, as written in `PUT /sandbox/faults`. What is left out matches everything.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FaultRule {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    operation: Option<Operation>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    project: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    environment: Option<String>,
    /// The metric or segment in the path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    /// Strikes only bodies that hold this text once decompressed: a poison event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    body_contains: Option<String>,
    /// Share of the matching requests that are struck, 0 to 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    probability: Option<f64>,
    /// How many requests are struck before the rule is spent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    times: Option<u64>,
    action: FaultAction,
}

/// What a rule does to the requests it strikes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum FaultAction {
    /// Answers with an error. Nothing is taken, unless `after_accept`.
    Status(StatusFault),
    /// Takes the request as usual and answers late.
    Delay { ms: u64 },
    /// Takes the request as usual, then closes the connection without an answer.
    CutAfterAccept,
    /// Closes the connection without taking anything.
    CutBeforeAccept,
    /// Takes nothing and never answers; ends when the client gives up.
    Hang,
    /// Answers 409 `optimistic_locking_error`, as if another writer had come in between.
    Conflict,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StatusFault {
    pub(super) status: u16,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) retry_after_seconds: Option<u64>,
    /// May be negative: clients meet reset times in the past when clocks disagree.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) ratelimit_reset_ms_from_now: Option<i64>,
    /// Takes the request first. LaunchDarkly's 5xx leave open whether the events are in.
    #[serde(default)]
    pub(super) after_accept: bool,
}

/// Why a list of rules was not taken.
#[derive(Debug, thiserror::Error)]
#[error("fault rule {index}: {problem}")]
pub(super) struct FaultRuleError {
    index: usize,
    problem: &'static str,
}

/// What a request shows to the rules.
#[derive(Debug)]
pub(super) struct FaultSubject<'a> {
    pub(super) operation: Operation,
    pub(super) place: &'a Place,
    /// The uncompressed body, if there is a readable one.
    pub(super) body: Option<&'a [u8]>,
}

/// What the rules do to one request.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Interference {
    pub(super) delay: Duration,
    /// Never `FaultAction::Delay`.
    pub(super) action: Option<FaultAction>,
    /// The kinds of the rules that struck, for the journal.
    pub(super) kinds: Vec<&'static str>,
}

/// A rule with its history, as shown by `GET /sandbox/faults`.
#[derive(Debug, Clone, Serialize)]
pub(super) struct ArmedRule {
    #[serde(flatten)]
    rule: FaultRule,
    applied: u64,
    /// `null`: without end.
    remaining: Option<u64>,
}

/// The rules in force.
#[derive(Debug)]
pub(super) struct Faults {
    rules: Vec<ArmedRule>,
    dice: Dice,
}

// === impl Faults ===

impl Faults {
    pub(super) fn new(seed: u64) -> Self {
        Self { rules: Vec::new(), dice: Dice(seed) }
    }

    /// Replaces all rules; with an error, the old ones stay in force.
    pub(super) fn replace(&mut self, rules: Vec<FaultRule>) -> Result<(), FaultRuleError> {
        for (index, rule) in rules.iter().enumerate() {
            rule.problem().map_or(Ok(()), |problem| Err(FaultRuleError { index, problem }))?;
        }
        self.rules = rules.into_iter().map(ArmedRule::new).collect();
        Ok(())
    }

    pub(super) fn clear(&mut self) {
        self.rules.clear();
    }

    pub(super) fn rules(&self) -> &[ArmedRule] {
        &self.rules
    }

    /// Says what happens to a request, and remembers that it happened.
    pub(super) fn strike(&mut self, subject: &FaultSubject<'_>) -> Interference {
        let mut interference = Interference::default();
        for armed in &mut self.rules {
            if !armed.strikes(subject, &mut self.dice) {
                continue;
            }
            interference.kinds.push(armed.rule.action.kind());
            if let FaultAction::Delay { ms } = armed.rule.action {
                interference.delay += Duration::from_millis(ms);
            } else {
                interference.action = Some(armed.rule.action.clone());
                break;
            }
        }
        interference
    }
}

// === impl ArmedRule ===

impl ArmedRule {
    fn new(rule: FaultRule) -> Self {
        Self { applied: 0, remaining: rule.times, rule }
    }

    fn strikes(&mut self, subject: &FaultSubject<'_>, dice: &mut Dice) -> bool {
        let strikes = self.remaining != Some(0)
            && self.rule.matches(subject)
            && self.rule.probability.is_none_or(|share| dice.roll() < share);
        if strikes {
            self.applied += 1;
            self.remaining = self.remaining.map(|left| left.saturating_sub(1));
        }
        strikes
    }
}

// === impl FaultRule ===

impl FaultRule {
    fn problem(&self) -> Option<&'static str> {
        if self.probability.is_some_and(|share| !(0.0..=1.0).contains(&share)) {
            return Some("`probability` must lie between 0 and 1");
        }
        if self.body_contains.as_deref() == Some("") {
            return Some("`body_contains` must not be empty");
        }
        match &self.action {
            FaultAction::Status(fault) if !(400..600).contains(&fault.status) => {
                Some("`status` must lie between 400 and 599")
            }
            FaultAction::Status(_)
            | FaultAction::Delay { .. }
            | FaultAction::CutAfterAccept
            | FaultAction::CutBeforeAccept
            | FaultAction::Hang
            | FaultAction::Conflict => None,
        }
    }

    fn matches(&self, subject: &FaultSubject<'_>) -> bool {
        self.operation.is_none_or(|operation| operation == subject.operation)
            && wants(self.project.as_ref(), subject.place.project.as_ref())
            && wants(self.environment.as_ref(), subject.place.environment.as_ref())
            && wants(self.key.as_ref(), subject.place.key.as_ref())
            && self.body_contains.as_ref().is_none_or(|text| holds(subject.body, text))
    }
}

fn wants(wanted: Option<&String>, found: Option<&String>) -> bool {
    wanted.is_none() || wanted == found
}

fn holds(body: Option<&[u8]>, text: &str) -> bool {
    body.and_then(|body| std::str::from_utf8(body).ok()).is_some_and(|body| body.contains(text))
}

// === impl FaultAction ===

impl FaultAction {
    fn kind(&self) -> &'static str {
        match self {
            Self::Status(_) => "status",
            Self::Delay { .. } => "delay",
            Self::CutAfterAccept => "cut_after_accept",
            Self::CutBeforeAccept => "cut_before_accept",
            Self::Hang => "hang",
            Self::Conflict => "conflict",
        }
    }
}

// === impl Dice ===

/// SplitMix64 (Steele, Lea, Flood 2014): small, and good enough to throw with.
#[derive(Debug)]
struct Dice(u64);

impl Dice {
    /// Returns a number from 0 up to but not including 1.
    fn roll(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        // The upper 32 bits go into an `f64` without rounding.
        let [a, b, c, d, ..] = (mixed ^ (mixed >> 31)).to_be_bytes();
        f64::from(u32::from_be_bytes([a, b, c, d])) / (f64::from(u32::MAX) + 1.0)
    }
}

#[cfg(test)]
mod tests;
