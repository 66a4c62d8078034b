//! A real Prometheus looks at running services: every panel shows something, and every alert fires under
//! its fault and clears after it.
//!
//! The rules are those of `grafana/alerts` with shorter times; what their real times come to is for
//! `promtool test rules` (`crate::rules`). Each scene is a service, or two, with a sandbox of its own,
//! all on one Kafka and scraped by one Prometheus; scenes run side by side.

mod letters;
mod members;
mod requests;
mod stand;
mod whole;

use std::collections::BTreeSet;
use std::time::Duration;

use self::stand::Stand;
use crate::dashboard::{dashboards, expressions};
use crate::support::wait::eventually;

/// For something to show: scrape, evaluation and what the fault itself takes.
const PATIENCE: Duration = Duration::from_secs(50);

#[tokio::test(flavor = "multi_thread")]
async fn every_panel_shows_something_and_every_alert_fires_and_clears() {
    let stand = Stand::start().await;
    let faults = async {
        tokio::join!(
            whole::events_that_do_not_count_and_a_removal_flood(&stand),
            requests::token_address_and_outage(&stand),
            requests::refused_for_their_number(&stand),
            letters::late_records_and_refused_ones(&stand),
            members::a_drain_that_ends_unfinished_and_a_crash(&stand),
            members::settled_and_not_committed(&stand),
            every_panel_shows_something(&stand),
        )
    };
    tokio::select! {
        _all = faults => {}
        () = whole::traffic(&stand) => unreachable!("it goes on"),
    }
    assert_eq!(stand.fired(), stand::alerts(), "an alert without its fault here");
    assert_eq!(stand.prometheus.broken_rules().await, Vec::<String>::new());
}

/// Not all at one time: some show what is wrong, and are empty while nothing is.
async fn every_panel_shows_something(stand: &Stand) {
    let all = dashboards();
    let mut empty: BTreeSet<(String, String)> = all.iter().flat_map(expressions).collect();
    assert!(empty.len() > 70, "{}", empty.len());
    eventually(PATIENCE, "every panel to have shown something", async || {
        for query in empty.clone() {
            if !stand.prometheus.query(&filled_in(&query.1, "5s")).await.is_empty() {
                empty.remove(&query);
            }
        }
        if empty.is_empty() { Ok(()) } else { Err(format!("without data so far: {empty:#?}")) }
    })
    .await;
}

/// With the variables as Grafana fills them in when everything is chosen.
pub(crate) fn filled_in(expression: &str, rate_interval: &str) -> String {
    let mut filled = expression.to_owned();
    for (variable, value) in [
        ("$job", ".+"),
        ("$instance", ".+"),
        ("$target", ".+"),
        ("$topic", ".+"),
        ("$__rate_interval", rate_interval),
        ("$__range", "1m"),
    ] {
        filled = filled.replace(variable, value);
    }
    assert!(!filled.contains('$'), "{expression}: a variable that is not filled in");
    filled
}
