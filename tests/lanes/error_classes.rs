//! What every answer of LaunchDarkly means for every request that we make, cell by cell.

use std::fmt;

use ldsink::model::outcome::{Refusal, RefusalReason, Stage};
use serde_json::{Value, json};

use self::Cell::{Accepted, Again, Alone, Halted, Isolated, Never, Reread};
use crate::errands::{Errand, MEMBERS, config};
use crate::rig::{House, Rig, Settled};

/// What can come back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    Success,
    /// Network, time-out, 408, 429, 5xx.
    Failure,
    Conflict,
    /// 400, 413, 422, with several records in the request.
    RefusedTogether,
    /// The same with one.
    RefusedAlone,
    /// 401, 403, 404 on project or environment, 405, 406.
    Misconfigured,
}

/// What it means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cell {
    Accepted,
    /// The same request again, not before the server's hint, until it is accepted.
    Again,
    /// Looked at anew, then another request.
    Reread,
    /// Split until the record at fault is alone; the others are delivered.
    Isolated,
    /// Dead-lettered with its reason.
    Alone,
    /// The lane stops, consumes nothing, and goes on by itself when it is mended.
    Halted,
    /// It cannot happen, and why.
    Never(&'static str),
}

const ANSWERS: [Answer; 6] = [
    Answer::Success,
    Answer::Failure,
    Answer::Conflict,
    Answer::RefusedTogether,
    Answer::RefusedAlone,
    Answer::Misconfigured,
];

const SINGLE: Cell = Never("one segment or one metric a request");

/// Success, failure, conflict, refused together, refused alone, misconfigured.
const TABLE: [(Errand, [Cell; ANSWERS.len()]); Errand::ALL.len()] = [
    (Errand::Events, [Accepted, Again, Again, Isolated, Alone, Halted]),
    (Errand::BigMembers, [Accepted, Again, Again, Isolated, Alone, Halted]),
    (Errand::StandardMembers, [Accepted, Again, Again, Isolated, Alone, Halted]),
    (Errand::SyncedMembers, [Accepted, Again, Again, Isolated, Alone, Halted]),
    (Errand::SegmentCreation, [Accepted, Again, Reread, SINGLE, Alone, Halted]),
    (Errand::MetricReading, [Accepted, Again, Again, SINGLE, Alone, Halted]),
    (Errand::MetricCreation, [Accepted, Again, Reread, SINGLE, Alone, Halted]),
    (Errand::MetricPatch, [Accepted, Again, Reread, SINGLE, Alone, Halted]),
    (Errand::MetricArchiving, [Accepted, Again, Reread, SINGLE, Alone, Halted]),
];

/// The ways in which an answer can come.
fn ways(answer: Answer) -> Vec<Value> {
    let status = |status: u16| json!({ "kind": "status", "status": status });
    match answer {
        Answer::Success => vec![json!({ "kind": "delay", "ms": 1 })],
        Answer::Failure => [408, 425, 429, 500, 502, 503, 504]
            .map(status)
            .into_iter()
            .chain([
                json!({ "kind": "cut_before_accept" }),
                json!({ "kind": "cut_after_accept" }),
                json!({ "kind": "hang" }),
                json!({ "kind": "status", "status": 503, "after_accept": true }),
                json!({ "kind": "status", "status": 429, "ratelimit_reset_ms_from_now": HINT_MS }),
                json!({ "kind": "status", "status": 503, "ratelimit_reset_ms_from_now": HINT_MS }),
            ])
            .collect(),
        Answer::Conflict => vec![json!({ "kind": "conflict" }), status(409)],
        Answer::RefusedTogether | Answer::RefusedAlone => [400, 413, 422].map(status).to_vec(),
        Answer::Misconfigured => [401, 403, 404, 405, 406].map(status).to_vec(),
    }
}

const HINT_MS: i64 = 40;

/// One cell with one way of answering.
struct Trial<'h> {
    house: &'h House,
    project: String,
    errand: Errand,
    action: Value,
}

impl fmt::Display for Trial<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}, {} ({})", self.errand, self.action, self.project)
    }
}

impl<'h> Trial<'h> {
    /// A rig in which the errand can be done, and nothing in the journal.
    fn rig(&self) -> Rig<'h> {
        let id = self.house.client_side_id(&self.project);
        let config = config(self.house.sandbox.url(), &self.project, &id);
        let mut rig = Rig::lazy(self.house, &config);
        if let Some(record) = self.errand.preparation() {
            rig.record(0, &record);
            rig.drain();
            rig.settled.clear();
        }
        self.house.runtime.block_on(self.house.sandbox.forget_journal());
        rig
    }

    fn answer_with(&self, mut rule: Value) {
        rule["action"] = self.action.clone();
        // Where everything is unknown, no path says 404 because of what it names last.
        if self.action["status"] != 404 {
            rule["operation"] = self.errand.operation().into();
        }
        self.house.runtime.block_on(self.house.sandbox.set_faults(json!([rule])));
    }

    fn mend(&self) {
        self.house.runtime.block_on(self.house.sandbox.clear_faults());
    }

    fn requests(&self) -> Vec<Value> {
        self.house.runtime.block_on(self.house.sandbox.requests())
    }

    /// The errand's own requests.
    fn sent(&self) -> Vec<Value> {
        let of = |request: &Value| request["operation"] == self.errand.operation();
        self.requests().into_iter().filter(of).collect()
    }

    fn assert_done(&self, members: &[usize], but: Option<usize>) {
        for member in members.iter().copied() {
            let done = self.errand.is_done(self.house, &self.project, member);
            assert_eq!(done, Some(member) != but, "{self}: member {member}");
        }
    }

    /// Failed twice, then done.
    fn again(&self, answer: Answer) {
        let mut rig = self.rig();
        let times = if self.action["kind"] == "hang" { 1 } else { 2 };
        self.answer_with(json!({ "times": times }));
        rig.record(0, &self.errand.record(MEMBERS[0]));
        rig.drain();
        let sent = self.sent();
        assert!(sent.len() > 1 && sent.len() <= times + 1, "{self}: {sent:#?}");
        for field in ["method", "path", "bytes_uncompressed", "payload_id"] {
            assert!(sent.iter().all(|it| it[field] == sent[0][field]), "{self}: {sent:#?}");
        }
        if self.action["ratelimit_reset_ms_from_now"].is_i64() {
            let at = |request: &Value| request["received_at_ms"].as_i64().unwrap();
            let pauses = sent.windows(2).map(|pair| at(&pair[1]) - at(&pair[0]));
            // The server's clock and ours may differ by a millisecond's fraction.
            assert!(pauses.clone().all(|it| it >= HINT_MS - 1), "{self}: {:?}", pauses.max());
        }
        assert_ne!(answer, Answer::Success);
        self.assert_settled(rig, &[Settled { accepted: 1, dead: 0 }]);
        self.assert_done(&MEMBERS[..1], None);
    }

    fn accepted(&self) {
        let mut rig = self.rig();
        self.answer_with(json!({}));
        rig.record(0, &self.errand.record(MEMBERS[0]));
        rig.drain();
        assert_eq!(self.sent().len(), 1, "{self}: {:#?}", self.requests());
        self.assert_settled(rig, &[Settled { accepted: 1, dead: 0 }]);
        self.assert_done(&MEMBERS[..1], None);
    }

    fn reread(&self) {
        let mut rig = self.rig();
        self.answer_with(json!({ "times": 2 }));
        rig.record(0, &self.errand.record(MEMBERS[0]));
        rig.drain();
        let requests = self.requests();
        let operations: Vec<_> = requests.iter().map(|it| &it["operation"]).collect();
        let sent: Vec<_> =
            (0..operations.len()).filter(|at| operations[*at] == self.errand.operation()).collect();
        assert_eq!(sent.len(), 3, "{self}: {operations:?}");
        let look = self.errand.look().unwrap();
        for pair in sent.windows(2) {
            let between = &operations[pair[0] + 1..pair[1]];
            assert!(between.iter().any(|it| *it == look), "{self}: {operations:?}");
        }
        self.assert_settled(rig, &[Settled { accepted: 1, dead: 0 }]);
        self.assert_done(&MEMBERS[..1], None);
    }

    /// The third of four is at fault.
    fn isolated(&self) {
        let mut rig = self.rig();
        self.answer_with(json!({ "body_contains": format!("\"m-{}\"", MEMBERS[2]) }));
        for member in MEMBERS {
            rig.record(0, &self.errand.record(member));
        }
        rig.drain();
        let sent = self.sent();
        assert!(sent.len() > 3, "{self}: halves of halves: {sent:#?}");
        self.assert_refusals(&rig.refusals, 1);
        let fine = Settled { accepted: 1, dead: 0 };
        self.assert_settled(rig, &[fine, fine, Settled { accepted: 0, dead: 1 }, fine]);
        self.assert_done(&MEMBERS, Some(MEMBERS[2]));
    }

    fn alone(&self) {
        let mut rig = self.rig();
        self.answer_with(json!({}));
        rig.record(0, &self.errand.record(MEMBERS[0]));
        rig.drain();
        assert_eq!(self.sent().len(), 1, "{self}: nothing to split, nothing to repeat");
        self.assert_refusals(&rig.refusals, 1);
        self.assert_settled(rig, &[Settled { accepted: 0, dead: 1 }]);
        self.mend();
        self.assert_done(&MEMBERS[..1], Some(MEMBERS[0]));
    }

    fn halted(&self) {
        let mut rig = self.rig();
        self.answer_with(json!({}));
        rig.record(0, &self.errand.record(MEMBERS[0]));
        rig.close();
        let lane = self.errand.lane();
        rig.until("some probes", |rig| rig.requests(lane, "misconfigured") > 2);
        let ready = rig.health.ready();
        let reason = ready.reasons.get("target production").cloned().unwrap_or_default();
        let status = self.action["status"].as_u64().unwrap();
        assert!(!ready.ok && reason.contains(&status.to_string()), "{self}: {ready:?}");
        assert!(rig.is_halted(lane), "{self}");
        assert!(rig.settled.is_empty() && rig.refusals.is_empty(), "{self}: P7");
        self.mend();
        rig.drain();
        assert!(rig.health.ready().ok, "{self}: {:?}", rig.health.ready());
        assert!(!rig.is_halted(lane), "{self}");
        self.assert_settled(rig, &[Settled { accepted: 1, dead: 0 }]);
        self.assert_done(&MEMBERS[..1], None);
    }

    fn assert_refusals(&self, refusals: &[Refusal], count: usize) {
        assert_eq!(refusals.len(), count, "{self}: {refusals:?}");
        for refusal in refusals {
            assert_eq!(refusal.reason, RefusalReason::RefusedByLaunchDarkly, "{self}");
            assert_eq!(refusal.stage, Stage::Deliver, "{self}");
            assert_eq!(refusal.status.map(u64::from), self.action["status"].as_u64(), "{self}");
            assert_eq!(refusal.attempts, 1, "{self}");
            let detail = &refusal.detail;
            // The sandbox's own words, and where they came from.
            assert!(detail.contains("production") && detail.contains("fault rule"), "{detail}");
        }
    }

    /// In the order of their records.
    fn assert_settled(&self, rig: Rig<'_>, expected: &[Settled]) {
        let settled: Vec<_> = rig.end().into_values().collect();
        assert_eq!(settled, expected, "{self}");
    }
}

#[test]
fn every_answer_to_every_request_has_its_meaning() {
    let house = House::new();
    let (mut trials, mut never) = (0, 0);
    for (errand, cells) in TABLE {
        for (answer, cell) in ANSWERS.into_iter().zip(cells) {
            if let Never(why) = cell {
                assert!(!errand.takes_several(), "{errand:?}: {why}");
                never += 1;
                continue;
            }
            for action in ways(answer) {
                trials += 1;
                let project = format!("trial-{trials}");
                let trial = Trial { house: &house, project, errand, action };
                match cell {
                    Accepted => trial.accepted(),
                    Again => trial.again(answer),
                    Reread => trial.reread(),
                    Isolated => trial.isolated(),
                    Alone => trial.alone(),
                    Halted => trial.halted(),
                    Never(_) => {}
                }
                trial.mend();
            }
        }
    }
    let rows: Vec<_> = TABLE.iter().map(|(errand, _)| *errand).collect();
    assert_eq!(rows, Errand::ALL, "each request once");
    assert!(trials > 200 && never == 5, "{trials} trials, {never} cells that cannot happen");
}
