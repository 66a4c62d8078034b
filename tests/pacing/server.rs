//! A server with a limit per window, and what it saw.

use std::sync::Mutex;
use std::time::Duration;

use ldsink::resilience::budget::{Answer, Verdict};
use ldsink::resilience::window::Told;
use tokio::time::{Instant, sleep};

/// What the server tells of its limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Says {
    /// Limit, rest and reset.
    Everything,
    /// As before the limit itself was told.
    NoLimit,
    NoReset,
    /// `Retry-After`, on a refusal.
    RetryAfter,
    Nothing,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Hidden {
    pub(crate) limit: u32,
    pub(crate) window: Duration,
    pub(crate) says: Says,
    /// What the server's clock shows when the scenario begins.
    pub(crate) clock_ms: i64,
    /// How much too late the client's clock of the day is, if it has one to understand resets with.
    pub(crate) skew_ms: Option<i64>,
    /// How many times as long as usually an answer takes.
    pub(crate) slowness: u32,
}

impl Default for Hidden {
    fn default() -> Self {
        let window = Duration::from_secs(10);
        Self {
            limit: 200,
            window,
            says: Says::Everything,
            clock_ms: 1_767_225_603_700,
            skew_ms: None,
            slowness: 1,
        }
    }
}

/// How a request of somebody's was answered.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seen {
    pub(crate) by: usize,
    pub(crate) window: i64,
    pub(crate) refused: bool,
    /// What was left before it.
    pub(crate) left: u32,
}

#[derive(Debug)]
pub(crate) struct Server {
    start: Instant,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    hidden: Hidden,
    window: i64,
    used: u32,
    seen: Vec<Seen>,
    dice: u64,
    under_way: usize,
    /// The most that were under way at once, since this was last asked.
    most_under_way: usize,
    down: bool,
    /// Whose requests it cannot answer, ever.
    poisoned: Option<usize>,
    /// Each request under way beyond this makes all of them slower.
    capacity: usize,
}

impl Server {
    pub(crate) fn new(hidden: Hidden) -> Self {
        let state = State {
            hidden,
            window: 0,
            used: 0,
            seen: Vec::new(),
            dice: 7,
            under_way: 0,
            most_under_way: 0,
            down: false,
            poisoned: None,
            capacity: usize::MAX,
        };
        Self { start: Instant::now(), state: Mutex::new(state) }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    fn now_ms(&self, hidden: &Hidden) -> i64 {
        hidden.clock_ms + i64::try_from(self.start.elapsed().as_millis()).unwrap()
    }

    pub(crate) fn set_limit(&self, limit: u32) {
        self.state().hidden.limit = limit;
    }

    pub(crate) fn set_down(&self, down: bool) {
        self.state().down = down;
    }

    pub(crate) fn poison(&self, by: usize) {
        self.state().poisoned = Some(by);
    }

    pub(crate) fn set_capacity(&self, capacity: usize) {
        self.state().capacity = capacity;
    }

    pub(crate) fn most_under_way(&self) -> usize {
        let mut state = self.state();
        let now = state.under_way;
        std::mem::replace(&mut state.most_under_way, now)
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.state().seen.clone()
    }

    /// A request that takes 20 to 80 ms to be answered.
    pub(crate) async fn ask(&self, by: usize) -> Answer {
        let way = {
            let mut state = self.state();
            state.under_way += 1;
            state.most_under_way = state.most_under_way.max(state.under_way);
            let crowd = state.under_way.saturating_sub(state.capacity) as u64;
            state.dice = state.dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            Duration::from_millis(10 + (state.dice >> 33) % 31 + crowd * 40) * state.hidden.slowness
        };
        sleep(way).await;
        let answer = self.judge(by);
        sleep(way).await;
        self.state().under_way -= 1;
        answer
    }

    /// What others of the account do, who wait for nothing.
    pub(crate) fn take(&self, by: usize) -> bool {
        self.judge(by).verdict == Verdict::Answered
    }

    fn judge(&self, by: usize) -> Answer {
        let mut state = self.state();
        if state.down || state.poisoned == Some(by) {
            return Answer { verdict: Verdict::Failed, ..Answer::default() };
        }
        let Hidden { limit, window, says, skew_ms, .. } = state.hidden;
        let length = i64::try_from(window.as_millis()).unwrap();
        let now = self.now_ms(&state.hidden);
        let number = now.div_euclid(length);
        if number != state.window {
            (state.window, state.used) = (number, 0);
        }
        let left = limit.saturating_sub(state.used);
        let refused = left == 0;
        state.used += u32::from(!refused);
        let remaining = limit.saturating_sub(state.used);
        state.seen.push(Seen { by, window: number, refused, left });
        let reset_ms = (number + 1) * length;
        let wait = Duration::from_millis(u64::try_from(reset_ms - now).unwrap());
        let reset_in = skew_ms.and_then(|skew_ms| {
            let wait = u64::try_from(reset_ms - now - skew_ms).ok()?;
            Some(Duration::from_millis(wait))
        });
        let told = match says {
            Says::Everything => Told {
                limit: Some(limit),
                remaining: Some(remaining),
                reset_ms: Some(reset_ms),
                reset_in,
            },
            Says::NoLimit => {
                Told { limit: None, remaining: Some(remaining), reset_ms: Some(reset_ms), reset_in }
            }
            Says::NoReset => Told {
                limit: Some(limit),
                remaining: Some(remaining),
                reset_ms: None,
                reset_in: None,
            },
            Says::RetryAfter | Says::Nothing => Told::default(),
        };
        let hint = match says {
            Says::RetryAfter => refused.then(|| Duration::from_secs(wait.as_secs() + 1)),
            Says::Everything | Says::NoLimit => (remaining == 0).then_some(wait),
            Says::NoReset | Says::Nothing => None,
        };
        let verdict = if refused { Verdict::Throttled } else { Verdict::Answered };
        Answer { verdict, account: told, hint, ..Answer::default() }
    }
}
