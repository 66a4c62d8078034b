//! Knows which role actions a request needs, and which of them a token has.
//!
//! A role names resources too; here an action that is allowed is allowed everywhere. Which action a
//! change of a field needs is read from the list of role actions; where that list leaves room, the
//! guess is noted.
//!
//! Source: <https://launchdarkly.com/docs/home/account/roles/role-actions>.
//!
//! Not here: whether there is such a token (`account`).

use std::collections::BTreeSet;

use axum::http::StatusCode;
use serde_json::{Map, Value, json};

use super::operation::Operation;
use super::refusal::Refusal;

/// What a token may do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) enum Rights {
    #[default]
    All,
    /// These role actions.
    Only(BTreeSet<String>),
}

/// The actions on a metric that an answer tells about.
const METRIC_ACTIONS: [&str; 16] = [
    "createMetric",
    "deleteMetric",
    "updateAnalysisType",
    "updateArchived",
    "updateDescription",
    "updateEventDefault",
    "updateEventKey",
    "updateFilters",
    "updateMaintainer",
    "updateName",
    "updateNumeric",
    "updateNumericSuccess",
    "updateNumericUnit",
    "updateRandomizationUnits",
    "updateTags",
    "updateUnitAggregationType",
];
const SEGMENT_ACTIONS: [&str; 8] = [
    "createSegment",
    "deleteSegment",
    "updateDescription",
    "updateExcluded",
    "updateIncluded",
    "updateName",
    "updateRules",
    "updateTags",
];

// === impl Rights ===

impl Rights {
    fn has(&self, action: &str) -> bool {
        match self {
            Self::All => true,
            Self::Only(actions) => actions.contains(action),
        }
    }

    /// # Errors
    /// 403 for an action that the token does not have; the import page says 401 for its own.
    pub(super) fn ensure(&self, operation: Operation, body: Option<&[u8]>) -> Result<(), Refusal> {
        if *self == Self::All {
            return Ok(());
        }
        let body = body.and_then(|body| serde_json::from_slice(body).ok()).unwrap_or(Value::Null);
        let missing = needed(operation, &body).into_iter().find(|action| !self.has(action));
        let Some(action) = missing else { return Ok(()) };
        let message = format!("the token's role does not allow {action}");
        Err(if operation == Operation::MetricImport {
            Refusal::new(StatusCode::UNAUTHORIZED, message)
        } else {
            Refusal::forbidden(message)
        })
    }

    /// Adds what the token may do with a metric to its answer.
    pub(super) fn tell_of_metric(&self, answer: Value) -> Value {
        self.tell(answer, &METRIC_ACTIONS)
    }

    /// Adds what the token may do with a segment to its answer.
    pub(super) fn tell_of_segment(&self, answer: Value) -> Value {
        self.tell(answer, &SEGMENT_ACTIONS)
    }

    /// When LaunchDarkly adds this is not documented; here it is for tokens with limits.
    fn tell(&self, mut answer: Value, actions: &[&str]) -> Value {
        if let (Self::Only(_), Value::Object(fields)) = (self, &mut answer) {
            let list = |allowed: bool| -> Value {
                let effect = if allowed { "allow" } else { "deny" };
                let told = actions.iter().filter(|action| self.has(action) == allowed);
                told.map(|action| json!({"action": action, "reason": {"effect": effect}})).collect()
            };
            let access = json!({"allowed": list(true), "denied": list(false)});
            fields.insert("_access".to_owned(), access);
        }
        answer
    }
}

/// The role actions that a request needs.
fn needed(operation: Operation, body: &Value) -> BTreeSet<&'static str> {
    match operation {
        // Whoever has a token may ask who they are.
        Operation::CallerIdentity => BTreeSet::new(),
        Operation::MetricImport => BTreeSet::from(["importEventData"]),
        Operation::MetricList
        | Operation::MetricGet
        | Operation::SegmentList
        | Operation::SegmentGet
        | Operation::SegmentContextGet
        | Operation::SegmentUserGet => BTreeSet::from(["viewProject"]),
        Operation::MetricCreate => BTreeSet::from(["createMetric"]),
        Operation::MetricUpdate => fields_of(body).iter().map(|field| of_metric(field)).collect(),
        Operation::MetricDelete => BTreeSet::from(["deleteMetric"]),
        Operation::SegmentCreate => BTreeSet::from(["createSegment"]),
        Operation::SegmentUpdate => {
            let instructions = body.get("instructions").and_then(Value::as_array);
            let kinds = instructions.into_iter().flatten().filter_map(|it| it["kind"].as_str());
            let fields = fields_of(body);
            kinds.map(of_instruction).chain(fields.iter().map(|it| of_segment(it))).collect()
        }
        Operation::SegmentDelete => BTreeSet::from(["deleteSegment"]),
        Operation::SegmentContexts | Operation::SegmentUsers => {
            let lists = [("included", "updateIncluded"), ("excluded", "updateExcluded")];
            let touched = lists.into_iter().filter(|(list, _)| is_touched(&body[list]));
            touched.map(|(_, action)| action).collect()
        }
        Operation::SegmentTargets => BTreeSet::from(["createSegment", "updateIncluded"]),
    }
}

/// The fields that a JSON patch or a merge patch names.
fn fields_of(body: &Value) -> Vec<String> {
    let patch = body.as_array().or_else(|| body.get("patch").and_then(Value::as_array));
    let paths = patch.into_iter().flatten().filter(|it| it["op"] != "test");
    let paths = paths.filter_map(|it| it["path"].as_str()?.split('/').nth(1));
    let merged = body.get("merge").and_then(Value::as_object).map(Map::keys);
    paths.map(str::to_owned).chain(merged.into_iter().flatten().cloned()).collect()
}

fn of_metric(field: &str) -> &'static str {
    match field {
        "name" => "updateName",
        "description" => "updateDescription",
        "tags" => "updateTags",
        "eventKey" => "updateEventKey",
        "isNumeric" => "updateNumeric",
        "unit" => "updateNumericUnit",
        "successCriteria" => "updateNumericSuccess",
        "unitAggregationType" | "unitAggregationField" => "updateUnitAggregationType",
        "analysisType" | "percentileValue" => "updateAnalysisType",
        "eventDefault" => "updateEventDefault",
        "analysisUnits" | "randomizationUnits" => "updateRandomizationUnits",
        "selector" => "updateSelector",
        "urls" => "updateUrls",
        "filters" => "updateFilters",
        "archived" => "updateArchived",
        "maintainerId" => "updateMaintainer",
        "denominator" => "updateMetricDenominator",
        "traceQuery" => "updateTraceQuery",
        "traceValueLocation" => "updateTraceValueLocation",
        field if field.starts_with("winsor") => "updateMetricWinsorization",
        field if field.starts_with("window") => "updateWindowOffset",
        // What the list of actions has no word for.
        _ => "updateOn",
    }
}

fn of_instruction(kind: &str) -> &'static str {
    match kind {
        "updateName" => "updateName",
        "updateDescription" => "updateDescription",
        "addTags" | "removeTags" => "updateTags",
        kind if kind.contains("Expiring") => "updateExpiringTargets",
        kind if kind.contains("Included") => "updateIncluded",
        kind if kind.contains("Excluded") => "updateExcluded",
        _ => "updateRules",
    }
}

fn of_segment(field: &str) -> &'static str {
    match field {
        "name" => "updateName",
        "description" => "updateDescription",
        "tags" => "updateTags",
        "included" | "includedContexts" => "updateIncluded",
        "excluded" | "excludedContexts" => "updateExcluded",
        _ => "updateRules",
    }
}

fn is_touched(list: &Value) -> bool {
    let some = |verb: &str| list[verb].as_array().is_some_and(|keys| !keys.is_empty());
    some("add") || some("remove")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[expect(clippy::needless_pass_by_value, reason = "bodies are made on the spot")]
    fn needs(operation: Operation, body: Value) -> Vec<&'static str> {
        needed(operation, &body).into_iter().collect()
    }

    #[test]
    fn a_change_needs_the_actions_of_what_it_touches() {
        let patch = json!([{"op": "replace", "path": "/unit"}, {"op": "add", "path": "/tags/0"},
            {"op": "test", "path": "/name"}, {"op": "add", "path": "/winsorLowerPercentile"}]);
        let actions = ["updateMetricWinsorization", "updateNumericUnit", "updateTags"];
        assert_eq!(needs(Operation::MetricUpdate, patch), actions);
        let semantic = json!({"instructions": [{"kind": "addIncludedTargets"},
            {"kind": "removeExcludedUsers"}, {"kind": "addBigSegmentIncludedTargets"}]});
        assert_eq!(needs(Operation::SegmentUpdate, semantic), ["updateExcluded", "updateIncluded"]);
        let merge = json!({"merge": {"name": "n"}});
        assert_eq!(needs(Operation::SegmentUpdate, merge), ["updateName"]);
        let state = json!({"included": {"add": ["a"]}, "excluded": {"add": []}});
        assert_eq!(needs(Operation::SegmentContexts, state), ["updateIncluded"]);
    }

    #[test]
    fn only_tokens_with_limits_are_told_of_them() {
        let answer = Rights::All.tell_of_segment(json!({"key": "vip"}));
        assert_eq!(answer, json!({"key": "vip"}));
        let only = Rights::Only(BTreeSet::from(["updateIncluded".to_owned()]));
        let answer = only.tell_of_segment(json!({"key": "vip"}));
        assert_eq!(answer["_access"]["allowed"][0]["action"], "updateIncluded");
        assert_eq!(answer["_access"]["denied"].as_array().unwrap().len(), 7);
    }
}
