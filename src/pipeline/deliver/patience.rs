//! How long requests are worth repeating.
//!
//! # Invariants
//! - E1: the time for which the lane was halted does not count: what waits for a person is not given
//!   up (P7), nor is what meets a passing error right after the person came. A probe that meets one
//!   says nothing about the fault, so the lane is halted still.
//!
//! Not here: what is given up, and how that is told (`courier`, `refused`).

use std::time::Duration;

use tokio::time::Instant;

use crate::resilience::gate::Gate;

/// From when on, and for how long.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    /// `None` is for ever.
    lasts: Option<Duration>,
    began: Instant,
    /// For how long the lane had been halted before.
    halted_before: Duration,
}

impl Patience {
    pub(super) fn from_now(lasts: Option<Duration>, gate: &Gate) -> Self {
        Self { lasts, began: Instant::now(), halted_before: gate.halted_for() }
    }

    pub(super) fn is_over(&self, gate: &Gate) -> bool {
        self.left(gate).is_some_and(|left| left.is_zero())
    }

    /// `None` is for ever.
    pub(super) fn left(&self, gate: &Gate) -> Option<Duration> {
        let halted = gate.halted_for().saturating_sub(self.halted_before);
        Some(self.lasts?.saturating_sub(self.began.elapsed().saturating_sub(halted)))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::sync::mpsc::channel;

    use tokio::sync::mpsc::unbounded_channel;
    use tokio_util::sync::CancellationToken;

    use super::super::courier::{Answered, Burden, Courier, Errand, LaneReports};
    use super::super::events::OPERATION;
    use super::super::pacing::Paces;
    use super::super::spans::Cause;
    use crate::config::Config;
    use crate::launchdarkly::answer::{Answered as Answer, ApiError, ErrorClass};
    use crate::launchdarkly::endpoint::Endpoint;
    use crate::launchdarkly::hints::RateLimits;
    use crate::model::batch::TargetId;
    use crate::pipeline::guard::Guard;
    use crate::pipeline::settings::DeliverySettings;
    use crate::telemetry::board::Board;
    use crate::telemetry::health::Health;
    use crate::telemetry::metrics::Metrics;
    use crate::telemetry::traces::Tracer;

    const CONFIG: &str = r#"
kafka: { bootstrap_servers: "localhost:9092", group_id: g }
targets: { production: { access_token: api-1, project: p, environment: production } }
routes:
  - name: all
    topics: [t]
    format: json
    metric_event: { target: production, key: k, context: { user: $.row.user } }
    retry_for: 60s
delivery: { probe_interval: 15s }
"#;

    /// Makes a request that is answered like this, one after the other, then accepted. Gives whether it
    /// was, and how often it was made.
    async fn carry(answers: &[ErrorClass]) -> (bool, u32) {
        let Config { pipeline, targets, .. } =
            Config::parse(CONFIG, "test.yaml", &|_| None).unwrap();
        let (health, metrics) = (Arc::<Health>::default(), Metrics::new().unwrap());
        let (settlements, dead_letters) = (channel().0, unbounded_channel().0);
        let paces = Paces::new(&targets, &pipeline.delivery, &metrics, &health);
        let guard = Arc::new(Guard::new(&pipeline, Arc::clone(&health), metrics.clone()));
        let board = Board::default();
        let reports = LaneReports {
            settlements,
            dead_letters,
            guard,
            health,
            metrics,
            board,
            tracer: Tracer::default(),
        };
        let retry_for = pipeline.retry_for(TargetId(0), OPERATION);
        let settings = DeliverySettings { retry_for, ..pipeline.delivery };
        let (pacing, abandoned) = (Arc::clone(&paces.events[0]), CancellationToken::new());
        let courier =
            Courier::new("production".to_owned(), OPERATION, settings, pacing, reports, abandoned);
        let made = AtomicU32::new(0);
        let request = |_| {
            let nth = made.fetch_add(1, Ordering::SeqCst);
            let class = answers.get(usize::try_from(nth).unwrap()).copied();
            async move { class.map_or_else(|| Ok(success()), |class| Err(error(class))) }
        };
        let burden = Burden { lane: None, oldest: None, records: 0 };
        let patience = courier.patience();
        let errand = Errand { fences: &[], patience, burden, cause: &Cause::default() };
        let answered = courier.carry(Endpoint::MetricImport, request, errand).await.unwrap();
        (matches!(answered, Answered::Accepted(())), made.into_inner())
    }

    fn success() -> Answer<()> {
        Answer { value: (), status: 202, limits: RateLimits::default(), hint: None }
    }

    fn error(class: ErrorClass) -> ApiError {
        let (status, detail, limits) = (Some(500), String::new(), Box::default());
        ApiError { class, status, code: None, detail, hint: None, limits }
    }

    #[tokio::test(start_paused = true)]
    async fn it_ends_after_its_time() {
        let (is_accepted, made) = carry(&[ErrorClass::Unavailable; 1_000]).await;
        assert!(!is_accepted && made < 1_000, "{made}");
    }

    #[tokio::test(start_paused = true)]
    async fn the_time_of_a_halt_does_not_count_e1() {
        // A wrong token for ten minutes, then one bad moment.
        let mut answers = vec![ErrorClass::Misconfigured; 40];
        answers.push(ErrorClass::Unavailable);
        assert_eq!(carry(&answers).await, (true, 42));
    }
}
