//! Reads the sandbox's journal over HTTP, as anybody could: which events count.

use serde::Deserialize;

use super::evidence::Evidence;
use super::manifest::OrderId;

/// Events on a page: some megabytes.
const PAGE: usize = 20_000;

/// A reader that remembers how far it has come.
#[derive(Debug)]
pub(super) struct Journal {
    http: reqwest::Client,
    sandbox_url: String,
    next: u64,
}

/// The journal cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("the sandbox's journal cannot be read")]
pub struct JournalError(#[from] reqwest::Error);

#[derive(Deserialize)]
struct Page {
    events: Vec<Row>,
    next: u64,
    more: bool,
}

#[derive(Deserialize)]
struct Row {
    counts: bool,
    received_at_ms: i64,
    event: Option<Event>,
}

#[derive(Deserialize)]
struct Event {
    data: Option<Attributes>,
}

#[derive(Deserialize)]
struct Attributes {
    order_id: Option<OrderId>,
}

// === impl Journal ===

impl Journal {
    /// Makes a reader at the journal's beginning.
    pub(super) fn new(http: reqwest::Client, sandbox_url: String) -> Self {
        Self { http, sandbox_url, next: 1 }
    }

    /// Reads what is new and adds it to the evidence.
    pub(super) async fn read_on(&mut self, evidence: &mut Evidence) -> Result<(), JournalError> {
        loop {
            let url =
                format!("{}/sandbox/events?from={}&limit={PAGE}", self.sandbox_url, self.next);
            let answer = self.http.get(url).send().await?.error_for_status()?;
            let page: Page = answer.json().await?;
            self.next = page.next;
            for row in page.events.into_iter().filter(|row| row.counts) {
                let order = row.event.and_then(|event| event.data?.order_id);
                match order {
                    Some(order) => evidence.note_event(order, row.received_at_ms),
                    None => evidence.nameless += 1,
                }
            }
            if !page.more {
                return Ok(());
            }
        }
    }
}
