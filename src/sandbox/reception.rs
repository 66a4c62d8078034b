//! Leads a request through what every operation has in common: faults, token, limits, journal.
//!
//! ```text
//! faults ──▶ token ──▶ limits ──▶ the operation's own work ──▶ journal ──▶ answer
//!    └──────────────── a fault before acceptance ─────────────────┘  └──▶ cut, hang, delay
//! ```
//!
//! Faults come first because they play the network and the load balancer, which know no tokens.
//!
//! # Invariants
//! - V1: what is decided about a request is in the journal before the client can know of it.
//! - V2: a fault before acceptance takes nothing; one after acceptance takes what would have been
//!   taken anyway.
//!
//! Not here: the operations themselves (`routes`).

use std::time::Duration;

use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{AppendHeaders, IntoResponse, Response};
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::account::Account;
use super::faults::{FaultAction, FaultSubject, StatusFault};
use super::history::Receipt;
use super::journal::{Batch, Note, RequestEntry};
use super::limits;
use super::line::Line;
use super::operation::{Operation, Place};
use super::refusal::{Hints, Refusal};
use super::rights::Rights;

/// The longest text of a header that is written down.
const LONGEST_NOTE: usize = 200;

const FAULT_MESSAGE: &str = "a fault rule of the sandbox says so";

/// A request as it arrived, its body apart.
#[derive(Debug)]
pub(super) struct Visit {
    pub(super) received_at_ms: u64,
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) headers: HeaderMap,
    pub(super) bytes_wire: usize,
}

/// What the visitor wants.
#[derive(Debug)]
pub(super) struct Errand {
    pub(super) operation: Operation,
    pub(super) place: Place,
    /// The uncompressed body, or why there is none.
    pub(super) body: Result<Vec<u8>, Refusal>,
    /// What is odd before the work begins.
    pub(super) notes: Vec<Note>,
    /// What the visitor may do; found out at the reception.
    pub(super) rights: Rights,
}

/// What an operation returns when it was carried out.
#[derive(Debug)]
pub(super) struct Granted {
    pub(super) status: StatusCode,
    /// The answer's JSON; `None` for an empty answer.
    pub(super) body: Option<Vec<u8>>,
    pub(super) done: Done,
}

/// What an operation leaves behind for the journal.
#[derive(Debug, Default)]
pub(super) struct Done {
    /// The metric events that were taken.
    pub(super) batch: Option<Batch>,
    /// The change to a metric or segment, which waits for the request's number.
    pub(super) receipt: Option<Receipt>,
    pub(super) notes: Vec<Note>,
}

/// What becomes of the request.
#[derive(Debug)]
pub(super) struct Conduct {
    delay: Duration,
    ending: Ending,
}

#[derive(Debug)]
enum Ending {
    Answer(Response),
    Cut,
    Hang,
}

/// What was decided, before it is in the journal.
struct Decision {
    answer: Result<Success, Refusal>,
    hints: Hints,
    done: Done,
}

struct Success {
    status: StatusCode,
    body: Option<Vec<u8>>,
}

/// Decides about a request and writes it down. Blocks for as long as `work` computes.
pub(super) fn receive(
    account: &Account,
    visit: &Visit,
    errand: Errand,
    work: impl FnOnce(Errand) -> Result<Granted, Refusal>,
) -> Conduct {
    let mut entry = visit.entry();
    entry.operation = Some(errand.operation);
    entry.notes.clone_from(&errand.notes);
    let body = errand.body.as_deref().ok();
    entry.bytes_uncompressed = body.map(|body| count(body.len()));
    let subject = FaultSubject { operation: errand.operation, place: &errand.place, body };
    let interference = account.faults().strike(&subject);
    entry.faults = interference.kinds;

    let decision = match &interference.action {
        Some(FaultAction::Hang | FaultAction::CutBeforeAccept) => Decision::nothing_done(),
        Some(FaultAction::Status(fault)) if !fault.after_accept => {
            Decision::refused(fault_refusal(fault, visit.received_at_ms))
        }
        Some(FaultAction::Conflict) => Decision::refused(Refusal::outdated(FAULT_MESSAGE)),
        Some(FaultAction::Status(fault)) => carry_out(account, visit, errand, work)
            .answered_with(fault_refusal(fault, visit.received_at_ms)),
        Some(FaultAction::CutAfterAccept | FaultAction::Delay { .. }) | None => {
            carry_out(account, visit, errand, work)
        }
    };
    let ending = write_down(account, entry, decision, interference.action.as_ref());
    Conduct { delay: interference.delay, ending }
}

/// Answers a request that is for no operation, and writes it down.
pub(super) fn turn_away(account: &Account, visit: &Visit, refusal: Refusal) -> Response {
    let mut entry = visit.entry();
    entry.status = Some(refusal.status.as_u16());
    let number = account.journal().record(entry, None);
    refusal.into_answer(number)
}

fn carry_out(
    account: &Account,
    visit: &Visit,
    mut errand: Errand,
    work: impl FnOnce(Errand) -> Result<Granted, Refusal>,
) -> Decision {
    let (token, rights) = match account.authorize(&visit.headers) {
        Ok(found) => found,
        Err(refusal) => return Decision::refused(refusal),
    };
    let standing = account.limits().admit(errand.operation, token, visit.received_at_ms);
    let granted = if standing.allowed {
        errand.rights = rights;
        let body = errand.body.as_deref().ok();
        errand.rights.ensure(errand.operation, body).and_then(|()| work(errand))
    } else {
        Err(Refusal::new(StatusCode::TOO_MANY_REQUESTS, "too many requests; wait, then repeat"))
    };
    let (answer, done) = match granted {
        Ok(Granted { status, body, done }) => (Ok(Success { status, body }), done),
        Err(refusal) => (Err(refusal), Done::default()),
    };
    Decision { answer, hints: standing.hints, done }
}

fn write_down(
    account: &Account,
    mut entry: RequestEntry,
    decision: Decision,
    action: Option<&FaultAction>,
) -> Ending {
    let silent = match action {
        Some(FaultAction::Hang) => Some(Ending::Hang),
        Some(FaultAction::CutBeforeAccept | FaultAction::CutAfterAccept) => Some(Ending::Cut),
        Some(FaultAction::Status(_) | FaultAction::Delay { .. } | FaultAction::Conflict) | None => {
            None
        }
    };
    let Decision { answer, hints, done } = decision;
    if silent.is_none() {
        let status = answer.as_ref().map_or_else(|refusal| refusal.status, |done| done.status);
        entry.status = Some(status.as_u16());
    }
    entry.notes.extend(done.notes);
    let number = account.journal().record(entry, done.batch);
    if let Some(receipt) = done.receipt {
        account.stamp(&receipt, number);
    }
    silent.unwrap_or_else(|| {
        Ending::Answer(match answer {
            Ok(success) => success.into_answer(hints),
            Err(refusal) => refusal.with_hints(hints).into_answer(number),
        })
    })
}

fn fault_refusal(fault: &StatusFault, now_ms: u64) -> Refusal {
    let status = StatusCode::from_u16(fault.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut hints = Hints::new();
    if let Some(seconds) = fault.retry_after_seconds {
        hints.push((header::RETRY_AFTER, HeaderValue::from(seconds)));
    }
    if let Some(offset) = fault.ratelimit_reset_ms_from_now {
        hints.push((limits::GLOBAL_REMAINING, HeaderValue::from(0)));
        let reset_ms = now_ms.saturating_add_signed(offset);
        hints.push((limits::RESET, HeaderValue::from(reset_ms)));
    }
    Refusal::new(status, FAULT_MESSAGE).with_hints(hints)
}

// === impl Visit ===

impl Visit {
    fn entry(&self) -> RequestEntry {
        let gzip = self.headers.get(header::CONTENT_ENCODING).is_some_and(|value| value == "gzip");
        RequestEntry {
            received_at_ms: self.received_at_ms,
            method: self.method.to_string(),
            path: self.path.clone(),
            payload_id: self.note("x-launchdarkly-payload-id"),
            user_agent: self.note("user-agent"),
            api_version: self.note("ld-api-version"),
            traceparent: self.note("traceparent"),
            gzip,
            bytes_wire: count(self.bytes_wire),
            ..RequestEntry::default()
        }
    }

    fn note(&self, header: &str) -> Option<String> {
        let text = self.headers.get(header)?.to_str().ok()?;
        Some(text.chars().take(LONGEST_NOTE).collect())
    }
}

// === impl Granted ===

impl Granted {
    pub(super) fn empty(status: StatusCode) -> Self {
        Self { status, body: None, done: Done::default() }
    }

    /// # Errors
    /// 500 if the answer cannot be written as JSON, which would be a defect.
    pub(super) fn json(status: StatusCode, answer: &impl Serialize) -> Result<Self, Refusal> {
        let body = serde_json::to_vec(answer).map_err(|error| {
            Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, format!("unwritable answer: {error}"))
        })?;
        Ok(Self { body: Some(body), ..Self::empty(status) })
    }

    pub(super) fn with_receipt(mut self, receipt: Receipt) -> Self {
        self.done.receipt = Some(receipt);
        self
    }

    pub(super) fn with_notes(mut self, notes: Vec<Note>) -> Self {
        self.done.notes = notes;
        self
    }
}

// === impl Success ===

impl Success {
    fn into_answer(self, hints: Hints) -> Response {
        let hints = AppendHeaders(hints);
        match self.body {
            Some(body) => {
                let json = [(header::CONTENT_TYPE, "application/json")];
                (self.status, json, hints, body).into_response()
            }
            None => (self.status, hints).into_response(),
        }
    }
}

// === impl Decision ===

impl Decision {
    fn refused(refusal: Refusal) -> Self {
        Self { answer: Err(refusal), hints: Hints::new(), done: Done::default() }
    }

    /// The client will never see an answer, so none is worded.
    fn nothing_done() -> Self {
        let nothing = Success { status: StatusCode::OK, body: None };
        Self { answer: Ok(nothing), hints: Hints::new(), done: Done::default() }
    }

    /// Replaces a good answer and keeps what was done; an error of the client's own stands.
    fn answered_with(self, refusal: Refusal) -> Self {
        match self.answer {
            Ok(_) => Self { done: self.done, ..Self::refused(refusal) },
            Err(_) => self,
        }
    }
}

// === impl Conduct ===

impl Conduct {
    /// Lets the client know, each in the way decided. Ends early when the sandbox closes.
    pub(super) async fn perform(self, line: &Line, closing: &CancellationToken) -> Response {
        if !self.delay.is_zero() {
            // Either end of the wait leads to the same answer.
            tokio::select! {
                () = tokio::time::sleep(self.delay) => {}
                () = closing.cancelled() => {}
            }
        }
        match self.ending {
            Ending::Answer(response) => return response,
            Ending::Cut => {}
            Ending::Hang => closing.cancelled().await,
        }
        line.cut();
        // Never leaves the house: the line is cut. The HTTP server wants something to try to send.
        StatusCode::INTERNAL_SERVER_ERROR.into_response()
    }
}

fn count(len: usize) -> u64 {
    u64::try_from(len).unwrap_or(u64::MAX)
}
