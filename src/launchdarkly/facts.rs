//! What metrics and segments are, as far as it decides whether something counts, and what the caller
//! may do with them.
//!
//! Answers are read with lenience: a field that is not there leaves something unknown, it is no error.

use serde_json::{Map, Value};

use super::segments::SegmentKind;
use crate::model::knowledge::{MetricFacts, SegmentFacts};

/// What LaunchDarkly says the token may and may not do with a resource (`_access`). It says so only
/// where it wants to; what is in neither list is not known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Access {
    pub allowed: Vec<String>,
    pub denied: Vec<String>,
}

impl Access {
    /// Reads the member `_access` of an answer.
    pub fn of(answer: &Map<String, Value>) -> Self {
        answer.get("_access").map(Self::told).unwrap_or_default()
    }

    pub(super) fn told(access: &Value) -> Self {
        let actions = |list: &str| {
            let entries = access.get(list);
            let entries = entries.and_then(Value::as_array).into_iter().flatten();
            let actions = entries.filter_map(|entry| entry.get("action")?.as_str());
            actions.map(str::to_owned).collect()
        };
        Self { allowed: actions("allowed"), denied: actions("denied") }
    }
}

/// The facts of a metric; `None` for one that no event key feeds, like a click.
pub fn metric_facts(metric: &Map<String, Value>) -> Option<MetricFacts> {
    let text = |name: &str| metric.get(name).and_then(Value::as_str).map(str::to_owned);
    let event_key = text("eventKey").filter(|key| !key.is_empty())?;
    // The newer name first; both are answered for a while.
    let units = ["analysisUnits", "randomizationUnits"].iter().find_map(|name| {
        let units = metric.get(*name)?.as_array()?;
        Some(units.iter().filter_map(Value::as_str).map(str::to_owned).collect())
    });
    let flag = |name: &str| metric.get(name).and_then(Value::as_bool).unwrap_or_default();
    Some(MetricFacts {
        key: text("key")?,
        event_key,
        is_numeric: flag("isNumeric"),
        units,
        archived: flag("archived"),
    })
}

impl From<SegmentKind> for SegmentFacts {
    fn from(kind: SegmentKind) -> Self {
        match kind {
            SegmentKind::Standard => Self::Standard,
            SegmentKind::Big { context_kind } => Self::Big { context_kind },
            SegmentKind::Synced { context_kind, integration } => {
                Self::Synced { context_kind, integration }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[expect(clippy::needless_pass_by_value, reason = "metrics are made on the spot")]
    fn metric(value: Value) -> Option<MetricFacts> {
        metric_facts(value.as_object().unwrap())
    }

    #[test]
    fn a_metric_without_an_event_key_listens_to_nothing() {
        assert_eq!(metric(json!({"key": "m", "kind": "click", "selector": "#buy"})), None);
        assert_eq!(metric(json!({"key": "m", "kind": "pageview", "eventKey": ""})), None);
    }

    #[test]
    fn what_is_not_told_stays_unknown() {
        let facts = metric(json!({"key": "m", "eventKey": "e"})).unwrap();
        assert_eq!((facts.units, facts.is_numeric, facts.archived), (None, false, false));
        let older = metric(json!({"key": "m", "eventKey": "e", "randomizationUnits": ["user"]}));
        assert_eq!(older.unwrap().units, Some(vec!["user".to_owned()]));
        let both = json!({"key": "m", "eventKey": "e", "isNumeric": true, "archived": true,
            "randomizationUnits": ["user"], "analysisUnits": ["user", "device"]});
        let facts = metric(both).unwrap();
        assert_eq!(facts.units.unwrap(), ["user", "device"]);
        assert!(facts.is_numeric && facts.archived);
    }

    #[test]
    fn access_is_what_launchdarkly_says_and_no_more() {
        let told = json!({"_access": {
            "allowed": [{"action": "updateName", "reason": {"effect": "allow"}}],
            "denied": [{"action": "updateTags", "reason": {"effect": "deny"}}, {"reason": {}}],
        }});
        let access = Access::of(told.as_object().unwrap());
        assert_eq!(
            (access.allowed, access.denied),
            (vec!["updateName".into()], vec!["updateTags".into()])
        );
        assert_eq!(Access::of(&Map::new()), Access::default());
    }
}
