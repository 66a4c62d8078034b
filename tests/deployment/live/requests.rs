//! Faults at LaunchDarkly, one after another, under load.

use serde_json::json;

use super::PATIENCE;
use super::stand::{REQUESTS, Stand, THROTTLED};
use crate::support::launchdarkly::{LaunchDarkly, TOKEN};
use crate::support::production::Production;
use crate::support::service::Service;
use crate::support::wait::eventually;

const HERE: (&str, &str) = ("instance", REQUESTS);

pub(super) async fn token_address_and_outage(stand: &Stand) {
    let sandbox = LaunchDarkly::start().await;
    let service = Service::start(&stand.config(REQUESTS, sandbox.url()));
    let production = Production::start(&stand.kafka, stand.topic(REQUESTS), 2, 200);
    stand.is_quiet(REQUESTS).await;

    a_revoked_token(stand, &sandbox).await;
    status(&sandbox, 404, 1.0).await;
    stand.fires("LdsinkLaneHalted", &[HERE, ("operation", "metric_event")]).await;
    sandbox.clear_faults().await;
    stand.clears("LdsinkLaneHalted", &[HERE]).await;

    an_outage(stand, &sandbox).await;

    let produced = production.stop().await.len();
    eventually(PATIENCE, "everything to be counted", async || {
        let counted = sandbox.count("events_counted").await;
        if counted == produced as u64 { Ok(()) } else { Err(format!("{counted} of {produced}")) }
    })
    .await;
    assert_eq!(service.stop().await.status.code(), Some(0));
}

pub(super) async fn refused_for_their_number(stand: &Stand) {
    let here = ("instance", THROTTLED);
    let sandbox = LaunchDarkly::start().await;
    let _service = Service::start(&stand.config(THROTTLED, sandbox.url()));
    let _production = Production::start(&stand.kafka, stand.topic(THROTTLED), 2, 50);
    stand.is_quiet(THROTTLED).await;

    let pause = json!({ "kind": "status", "status": 429, "retry_after_seconds": 5 });
    sandbox.set_faults(json!([{ "times": 1, "action": pause }])).await;
    stand.fires("LdsinkLongHint", &[here, ("api", "events")]).await;
    stand.clears("LdsinkLongHint", &[here]).await;

    status(&sandbox, 429, 0.5).await;
    stand.fires("LdsinkThrottled", &[here]).await;
    sandbox.clear_faults().await;
    stand.clears("LdsinkThrottled", &[here]).await;
}

/// An incident from its begin to its end, as it shows in metrics.
async fn a_revoked_token(stand: &Stand, sandbox: &LaunchDarkly) {
    sandbox.set_tokens(&["api-another"]).await;
    stand.fires("LdsinkCredentialsRefused", &[HERE, ("target", "production")]).await;
    let refused =
        stand.prometheus.query("ldsink_requests_total{result=\"misconfigured\"} > 0").await;
    assert!(refused.iter().any(|(labels, _)| labels["status"] == "4xx"), "{refused:?}");
    assert!(!stand.prometheus.query("ldsink_ready{instance=\"requests\"} == 0").await.is_empty());
    sandbox.set_tokens(&[TOKEN]).await;
    stand.clears("LdsinkCredentialsRefused", &[HERE]).await;
}

async fn an_outage(stand: &Stand, sandbox: &LaunchDarkly) {
    let topic = [("topic", stand.topic(REQUESTS))];
    status(sandbox, 503, 1.0).await;
    tokio::join!(
        stand.fires("LdsinkOutage", &[HERE, ("api", "events")]),
        stand.fires("LdsinkStopped", &[HERE]),
        stand.fires("LdsinkLagGrows", &topic)
    );
    sandbox.clear_faults().await;
    tokio::join!(
        stand.clears("LdsinkOutage", &[HERE]),
        stand.clears("LdsinkStopped", &[HERE]),
        stand.clears("LdsinkLagGrows", &topic)
    );
}

async fn status(sandbox: &LaunchDarkly, status: u16, probability: f64) {
    let action = json!({ "kind": "status", "status": status });
    sandbox.set_faults(json!([{ "probability": probability, "action": action }])).await;
}
