//! The smallest role policy with which a configuration works.
//!
//! Source: <https://launchdarkly.com/docs/home/account/roles/role-actions>.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::launchdarkly::settings::TargetSettings;
use crate::model::claim::{CheckPolicy, Claim};
use crate::model::operation::SegmentKind;
use crate::pipeline::route::claim::claim_of;
use crate::pipeline::route::settings::{
    MetricSettings, OnDelete, OperationSettings, RouteSettings,
};

/// The rights that routes need: by resource, the role actions on it. Resources are in the order of
/// their size: the project, its environments, its metrics, its segments.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rights {
    by_resource: BTreeMap<(Kind, String), BTreeSet<&'static str>>,
    /// Fields of metrics whose change no documented action covers.
    pub undocumented: BTreeSet<String>,
}

/// What a resource is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Project,
    Environment,
    Metric,
    Segment,
}

// === impl Rights ===

impl Rights {
    /// The rights that the routes to some of the targets need. `are_checked` says whether the service
    /// looks at what LaunchDarkly has.
    pub fn of<'r>(
        targets: &[(usize, &TargetSettings)],
        routes: impl Iterator<Item = &'r RouteSettings>,
        are_checked: bool,
    ) -> Self {
        let mut rights = Self::default();
        for route in routes {
            let of_route = |(index, _): &&(usize, _)| *index == route.operation.target().0;
            if let Some((_, target)) = targets.iter().find(of_route) {
                rights.add(target, route, are_checked);
            }
        }
        rights
    }

    fn add(&mut self, target: &TargetSettings, route: &RouteSettings, are_checked: bool) {
        let project = format!("proj/{}", target.project);
        let environment = format!("{project}:env/{}", target.environment);
        let is_checked = are_checked && route.checks != CheckPolicy::Off;
        let claim = claim_of(&route.operation);
        // Definitions are read before they are written, segments when something is refused.
        if is_checked || !matches!(claim, Claim::Event { .. }) {
            self.allow(Kind::Project, project.clone(), ["viewProject"]);
        }
        match (claim, &route.operation) {
            (Claim::Event { .. }, _) => {
                self.allow(Kind::Environment, environment, ["importEventData"]);
            }
            (Claim::Metric { key, .. }, OperationSettings::Metric(metric)) => {
                let resource = format!("{project}:metric/{}", key.as_deref().unwrap_or("*"));
                let (actions, undocumented) = of_metric(metric);
                self.allow(Kind::Metric, resource, actions);
                self.undocumented.extend(undocumented);
            }
            (Claim::Segment { key, shape }, _) => {
                let is_synced = matches!(shape.kind, SegmentKind::Synced { .. });
                // Whatever adds to one list takes from the other; a partner's endpoint has only one.
                let lists: &[_] = if is_synced {
                    &["updateIncluded"]
                } else {
                    &["updateExcluded", "updateIncluded"]
                };
                let is_made = is_synced || shape.create.is_some();
                let create = is_made.then_some("createSegment");
                // Which key a synced segment gets is LaunchDarkly's own affair.
                let key = key.filter(|_| !is_synced);
                let resource = format!("{environment}:segment/{}", key.as_deref().unwrap_or("*"));
                self.allow(Kind::Segment, resource, lists.iter().copied().chain(create));
            }
            (Claim::Metric { .. }, _) => {}
        }
    }

    fn allow(
        &mut self,
        kind: Kind,
        resource: String,
        actions: impl IntoIterator<Item = &'static str>,
    ) {
        self.by_resource.entry((kind, resource)).or_default().extend(actions);
    }

    /// The resources, each with its kind and the actions on it.
    pub fn iter(&self) -> impl Iterator<Item = (Kind, &str, &BTreeSet<&'static str>)> {
        self.by_resource.iter().map(|((kind, name), actions)| (*kind, name.as_str(), actions))
    }

    /// The policy of a custom role.
    pub fn to_policy(&self) -> Value {
        let mut statements: Vec<(&BTreeSet<&'static str>, Vec<&str>)> = Vec::new();
        for (_, resource, actions) in self.iter() {
            match statements.iter_mut().find(|(known, _)| *known == actions) {
                Some((_, resources)) => resources.push(resource),
                None => statements.push((actions, vec![resource])),
            }
        }
        let statement = |(actions, resources)| json!({"effect": "allow", "actions": actions, "resources": resources});
        statements.into_iter().map(statement).collect()
    }
}

/// The actions for a definition's fields, and the fields for which there is none.
fn of_metric(metric: &MetricSettings) -> (BTreeSet<&'static str>, Vec<String>) {
    let mut actions = BTreeSet::from(["createMetric"]);
    let mut undocumented = Vec::new();
    for (field, _) in metric.fields.iter().filter(|(field, _)| field != "kind") {
        match of_field(field) {
            Some(action) => drop(actions.insert(action)),
            None => undocumented.push(field.clone()),
        }
    }
    if metric.on_delete == OnDelete::Archive {
        actions.insert("updateArchived");
    }
    (actions, undocumented)
}

/// The action that changes a field of a metric.
fn of_field(field: &str) -> Option<&'static str> {
    Some(match field {
        "name" => "updateName",
        "description" => "updateDescription",
        "tags" => "updateTags",
        "isNumeric" => "updateNumeric",
        "eventKey" => "updateEventKey",
        "successCriteria" => "updateNumericSuccess",
        "unit" => "updateNumericUnit",
        "selector" => "updateSelector",
        "urls" => "updateUrls",
        "analysisUnits" | "randomizationUnits" => "updateRandomizationUnits",
        "unitAggregationType" | "unitAggregationField" => "updateUnitAggregationType",
        "analysisType" | "percentileValue" => "updateAnalysisType",
        "eventDefault" => "updateEventDefault",
        "filters" => "updateFilters",
        "windowStartOffset" | "windowEndOffset" => "updateWindowOffset",
        "winsorLowerPercentile" | "winsorUpperPercentile" | "winsorIncludeImputed" => {
            "updateMetricWinsorization"
        }
        "traceQuery" => "updateTraceQuery",
        "traceValueLocation" => "updateTraceValueLocation",
        "denominator" => "updateMetricDenominator",
        "maintainerId" => "updateMaintainer",
        "archived" => "updateArchived",
        _ => return None,
    })
}
