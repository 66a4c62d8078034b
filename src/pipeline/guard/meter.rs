//! Tells when too many of a route's records are refused.
//!
//! # Invariants
//! - E1: too many are `max_run` in a row, or more than `max_share` percent of `window`; as long as
//!   fewer than `window` are known, the others count as taken.

use std::collections::VecDeque;

use crate::pipeline::settings::GuardSettings;

/// What became of the last records of a route.
#[derive(Debug)]
pub(super) struct Meter {
    limits: GuardSettings,
    run: u32,
    /// The newest last; whether each was refused.
    recent: VecDeque<bool>,
    refused: u32,
}

/// In what there are too many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Excess {
    Run(u32),
    Share { refused: u32, of: u32 },
}

impl Meter {
    pub(super) fn new(limits: GuardSettings) -> Self {
        Self { limits, run: 0, recent: VecDeque::new(), refused: 0 }
    }

    /// Counts records that were taken.
    pub(super) fn passed(&mut self, records: u64) {
        self.run = 0;
        // More than the window holds say nothing more.
        for _ in 0..records.min(u64::from(self.limits.window)) {
            self.push(false);
        }
    }

    /// Counts one that was refused. Gives whether that is one too many.
    pub(super) fn refused(&mut self) -> Option<Excess> {
        self.run = self.run.saturating_add(1);
        self.push(true);
        let GuardSettings { max_run, max_share, window, .. } = self.limits;
        if self.run >= max_run {
            return Some(Excess::Run(self.run));
        }
        let is_too_much = u64::from(self.refused) * 100 > u64::from(max_share) * u64::from(window);
        is_too_much.then_some(Excess::Share { refused: self.refused, of: window })
    }

    fn push(&mut self, refused: bool) {
        if self.recent.len() >= usize::try_from(self.limits.window).unwrap_or(usize::MAX) {
            self.refused -= u32::from(self.recent.pop_front() == Some(true));
        }
        self.recent.push_back(refused);
        self.refused += u32::from(refused);
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        (self.run, self.refused) = (0, 0);
        self.recent.clear();
    }
}

impl std::fmt::Display for Excess {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Run(run) => write!(f, "{run} in a row"),
            Self::Share { refused, of } => write!(f, "{refused} of the last {of}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::{ProptestConfig, prop, prop_assert_eq, proptest};

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(500))]
        /// E1 against a list that forgets nothing.
        #[test]
        fn equals_a_list_of_everything(
            steps in prop::collection::vec((0..4_u64, 0..6_u32), 0..80),
            max_run in 1..9_u32,
            max_share in 1..=100_u32,
            window in 1..20_u32,
        ) {
            let probe_interval = Duration::from_secs(1);
            let limits = GuardSettings { enabled: true, max_run, max_share, window, probe_interval };
            let mut meter = Meter::new(limits);
            let mut all = Vec::new();
            for (passed, refused) in steps {
                if passed > 0 {
                    meter.passed(passed);
                    all.extend((0..passed).map(|_| false));
                }
                for _ in 0..refused {
                    all.push(true);
                    let run = all.iter().rev().take_while(|it| **it).count();
                    let last = all.iter().rev().take(window as usize).filter(|it| **it).count();
                    let expected = if run >= max_run as usize {
                        Some(Excess::Run(u32::try_from(run).unwrap()))
                    } else if last * 100 > (max_share * window) as usize {
                        Some(Excess::Share { refused: u32::try_from(last).unwrap(), of: window })
                    } else {
                        None
                    };
                    prop_assert_eq!(meter.refused(), expected);
                }
            }
        }
    }
}
