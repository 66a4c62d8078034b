//! What a budget knows, and what follows from it. Pure: the time comes in.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::{Answer, BudgetSettings, Cause, Endpoint, Verdict};
use crate::resilience::after;
use crate::resilience::concurrency::Concurrency;
use crate::resilience::fair::{FairQueue, Ticket};
use crate::resilience::guess::Guess;
use crate::resilience::outage::Outage;
use crate::resilience::window::{Leave, Level, Told, Window};

/// Beyond a hint, so that those who were told the same do not come back at the same moment: up to this
/// share of it, and no more than so long.
const JITTER: f64 = 0.1;
const LONGEST_JITTER: Duration = Duration::from_secs(5);

/// What a budget knows.
#[derive(Debug)]
pub(super) struct State {
    pub(super) queue: FairQueue<Waiter>,
    /// Who looks again at the next time at which something may have changed.
    pub(super) watch: Option<(Ticket, Instant)>,
    settings: BudgetSettings,
    account: Window,
    token: Window,
    endpoints: BTreeMap<Endpoint, OfEndpoint>,
    guess: Guess,
    concurrency: Concurrency,
    under_way: u32,
    answered_ever: bool,
    closed_until: Option<Instant>,
}

/// What is known of one endpoint.
#[derive(Debug)]
struct OfEndpoint {
    window: Window,
    under_way: u32,
    closed_until: Option<Instant>,
}

/// One that waits.
#[derive(Debug)]
pub(super) struct Waiter {
    pub(super) endpoint: Endpoint,
    pub(super) wake: Arc<Notify>,
}

/// Who may go, if anybody.
#[derive(Debug, Clone, Copy)]
pub(super) enum Pick {
    Go(Ticket),
    /// Nobody before this, or before another answer has come.
    Wait(Option<Instant>),
}

/// Why somebody cannot go yet.
type Obstacle = (Leave, Cause);

// === impl State ===

impl State {
    pub(super) fn new(settings: BudgetSettings, now: Instant) -> Self {
        Self {
            queue: FairQueue::default(),
            watch: None,
            settings,
            account: Window::new(settings.reserve, now),
            token: Window::new(settings.reserve, now),
            endpoints: BTreeMap::new(),
            guess: Guess::new(settings.pause),
            concurrency: Concurrency::new(settings.concurrency, now),
            under_way: 0,
            answered_ever: false,
            closed_until: None,
        }
    }

    /// Who goes next: the first one of those that can.
    pub(super) fn pick(&self, outage: &Outage, now: Instant) -> Pick {
        let mut soonest: Option<Instant> = None;
        // Most wait for the same.
        let mut seen: Vec<Endpoint> = Vec::new();
        for (ticket, waiter) in self.queue.in_order() {
            if seen.contains(&waiter.endpoint) {
                continue;
            }
            seen.push(waiter.endpoint);
            match self.obstacle(waiter.endpoint, outage, now) {
                None => return Pick::Go(ticket),
                Some((Leave::At(at), _)) => {
                    soonest = Some(soonest.map_or(at, |soonest| soonest.min(at)));
                }
                Some(_) => {}
            }
        }
        Pick::Wait(soonest)
    }

    /// Makes sure that somebody looks again: who may go, or else one who waits until then.
    pub(super) fn wake(&self, pick: Pick) {
        let order = self.queue.in_order();
        let who = match pick {
            Pick::Go(ticket) => order.iter().find(|(other, _)| *other == ticket),
            Pick::Wait(Some(until)) if self.watch.is_none_or(|(_, at)| at > until) => order.first(),
            Pick::Wait(_) => None,
        };
        if let Some((_, waiter)) = who {
            waiter.wake.notify_one();
        }
    }

    /// What keeps one from going that is not the next.
    pub(super) fn cause(&self, endpoint: Endpoint, outage: &Outage, now: Instant) -> Cause {
        self.obstacle(endpoint, outage, now).map_or(Cause::Turn, |(_, cause)| cause)
    }

    fn obstacle(&self, endpoint: Endpoint, outage: &Outage, now: Instant) -> Option<Obstacle> {
        let known = self.endpoints.get(endpoint);
        let hints = [self.closed_until, known.and_then(|known| known.closed_until)];
        if let Some(until) = hints.into_iter().flatten().max().filter(|until| *until > now) {
            return Some((Leave::At(until), Cause::Hint));
        }
        let outage = outage.leave(now);
        if outage != Leave::Now {
            return Some((outage, Cause::Outage));
        }
        if self.under_way >= self.concurrency_of(endpoint) {
            return Some((Leave::AfterAnAnswer, Cause::Concurrency));
        }
        let of_endpoint = known.and_then(|known| known.window.leave(known.under_way, now));
        let told = [
            self.account.leave(self.under_way, now),
            self.token.leave(self.under_way, now),
            of_endpoint,
        ];
        let limit = told.into_iter().flatten().fold(self.guess.leave(now), later);
        (limit != Leave::Now).then_some((limit, Cause::Limit))
    }

    /// Notes that one goes.
    pub(super) fn sent(&mut self, ticket: Ticket, endpoint: Endpoint, now: Instant) {
        self.queue.serve(ticket);
        self.under_way += 1;
        self.account.sent(now);
        self.token.sent(now);
        self.guess.sent(now);
        let known = self.of_endpoint(endpoint, now);
        known.under_way += 1;
        known.window.sent(now);
    }

    /// Takes in that one that could have gone did not.
    pub(super) fn given_back(&mut self, endpoint: Endpoint, now: Instant) {
        self.under_way = self.under_way.saturating_sub(1);
        let known = self.of_endpoint(endpoint, now);
        known.under_way = known.under_way.saturating_sub(1);
    }

    /// Takes in what came back; nothing when nobody waited for it any more.
    pub(super) fn answered(
        &mut self,
        endpoint: Endpoint,
        sent: Instant,
        answer: Option<&Answer>,
        now: Instant,
    ) {
        let under_way = self.under_way;
        self.given_back(endpoint, now);
        if answer.is_some_and(|answer| answer.verdict != Verdict::Answered) {
            self.concurrency.refused(sent, now);
        }
        let known = self.of_endpoint(endpoint, now);
        let Some(answer) = answer.filter(|answer| answer.verdict != Verdict::Failed) else {
            known.window.unseen();
            self.account.unseen();
            self.token.unseen();
            // A hint of a failure is for its own request, and for an outage.
            return;
        };
        self.answered_ever = true;
        let known = self.of_endpoint(endpoint, now);
        known.window.answered(answer.endpoint, sent, now);
        self.account.answered(answer.account, sent, now);
        self.token.answered(answer.token, sent, now);
        if answer.verdict == Verdict::Throttled {
            let limits = [answer.account, answer.token, answer.endpoint];
            if limits.into_iter().all(|told| told.remaining != Some(0)) {
                // None of the limits that we are told of: there is another one.
                self.guess.refused(answer.hint, sent, now);
            }
        } else {
            self.concurrency.answered(under_way, sent, now);
            self.guess.accepted(now);
        }
        if let Some(hint) = answer.hint {
            self.close(endpoint, answer, hint, now);
        }
    }

    /// Lets nobody pass that a hint concerns, until it has passed and a little longer.
    fn close(&mut self, endpoint: Endpoint, answer: &Answer, hint: Duration, now: Instant) {
        let jitter = hint.min(LONGEST_JITTER * 10).mul_f64(rand::random_range(0.0..=JITTER));
        let pause = hint.saturating_add(jitter);
        let until = after(now, pause);
        let spent = |told: Told| told.remaining == Some(0);
        // Without a word about which limit it is, it is everybody's.
        let only_endpoint =
            spent(answer.endpoint) && !spent(answer.account) && !spent(answer.token);
        if only_endpoint {
            let known = self.of_endpoint(endpoint, now);
            known.closed_until = known.closed_until.max(Some(until));
        } else {
            self.closed_until = self.closed_until.max(Some(until));
        }
    }

    pub(super) fn park(&mut self, until: Instant) {
        self.closed_until = self.closed_until.max(Some(until));
    }

    pub(super) fn levels(&self) -> Vec<(&'static str, Level)> {
        let endpoints = self.endpoints.iter().map(|(name, known)| (*name, &known.window));
        [("account", &self.account), ("token", &self.token)]
            .into_iter()
            .chain(endpoints)
            .filter_map(|(name, window)| Some((name, window.level()?)))
            .collect()
    }

    pub(super) fn parked_until(&self, now: Instant) -> Option<Instant> {
        let endpoints = self.endpoints.values().map(|known| known.closed_until);
        let all = endpoints.chain([self.closed_until]);
        all.flatten().max().filter(|until| *until > now)
    }

    /// How many requests may be under way when all is well.
    pub(super) fn most_at_once(&self) -> u32 {
        u32::try_from(self.settings.concurrency).unwrap_or(u32::MAX)
    }

    pub(super) fn concurrency_bound(&self) -> u32 {
        if self.account.is_known() || self.token.is_known() {
            return self.most_at_once();
        }
        self.concurrency.bound()
    }

    /// Adapts only where no limit is told. The very first answer is waited for: it may tell one.
    fn concurrency_of(&self, endpoint: Endpoint) -> u32 {
        match () {
            () if !self.answered_ever => 1,
            () if self.is_told(endpoint) => self.most_at_once(),
            () => self.concurrency.bound(),
        }
    }

    fn is_told(&self, endpoint: Endpoint) -> bool {
        self.account.is_known()
            || self.token.is_known()
            || self.endpoints.get(endpoint).is_some_and(|known| known.window.is_known())
    }

    fn of_endpoint(&mut self, endpoint: Endpoint, now: Instant) -> &mut OfEndpoint {
        let reserve = self.settings.reserve;
        self.endpoints.entry(endpoint).or_insert_with(|| OfEndpoint {
            window: Window::new(reserve, now),
            under_way: 0,
            closed_until: None,
        })
    }
}

/// The one that waits longer.
fn later(one: Leave, other: Leave) -> Leave {
    match (one, other) {
        (Leave::Now, leave) | (leave, Leave::Now) => leave,
        (Leave::At(one), Leave::At(other)) => Leave::At(one.max(other)),
        (Leave::AfterAnAnswer, _) | (_, Leave::AfterAnAnswer) => Leave::AfterAnAnswer,
    }
}
