//! Reads what partner integrations send to `/api/v2/segment-targets/{integration}`.
//!
//! Each integration has its own body, laid down in a manifest of LaunchDarkly's. Played are those
//! whose manifest and sender agree. The cohort of a request is that of its first element; what a
//! second cohort in the same request does is undocumented, so it is refused.
//!
//! # Invariants
//! - U1: keys come out in the order of the body, each with what is to become of it.
//!
//! Not here: which segment a cohort becomes (`routes::segment_targets`).

use serde::Deserialize;

use super::segments::{USER, Verb};

/// What an integration asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct CohortSync {
    /// The environment's client-side ID.
    pub(super) environment_id: String,
    pub(super) context_kind: String,
    pub(super) cohort: Cohort,
    pub(super) keys: Vec<(Verb, String)>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Cohort {
    pub(super) id: String,
    pub(super) name: Option<String>,
    pub(super) url: Option<String>,
}

/// Why a body is no cohort sync.
#[derive(Debug, thiserror::Error)]
pub(super) enum PartnerBodyError {
    #[error("no integration {0} is played here")]
    UnknownIntegration(String),
    #[error("the body is not what the integration sends: {0}")]
    Unreadable(#[from] serde_json::Error),
    #[error("the batch is empty, so it names no cohort")]
    NoCohort,
    #[error("the batch names more than one cohort; send one request for each")]
    SeveralCohorts,
    #[error("`{0}` is missing")]
    NoLists(&'static str),
    #[error("`{0}` must not be empty")]
    Empty(&'static str),
}

/// `segment-audiences` and `amplitude`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct BatchBody {
    environment_id: String,
    context_kind: Option<String>,
    batch: Vec<BatchItem>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct BatchItem {
    user_id: String,
    cohort_id: String,
    cohort_name: Option<String>,
    cohort_url: Option<String>,
    value: bool,
}

/// `census-synced-segments`: a batch in snake case.
#[derive(Deserialize)]
struct CensusBody {
    environment_id: String,
    context_kind: Option<String>,
    batch: Vec<CensusItem>,
}

#[derive(Deserialize)]
struct CensusItem {
    user_id: String,
    cohort_id: String,
    cohort_name: Option<String>,
    value: bool,
}

/// `rudderstack`, `fulcrum` and `sumatra-synced-segments`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ListsBody {
    environment_id: String,
    context_kind: Option<String>,
    cohort_id: String,
    cohort_name: Option<String>,
    cohort_url: Option<String>,
    included: Option<Lists>,
    /// RudderStack's word for `included`.
    list_data: Option<Lists>,
}

#[derive(Deserialize)]
struct Lists {
    #[serde(default)]
    add: Vec<Identified>,
    #[serde(default)]
    remove: Vec<Identified>,
}

#[derive(Deserialize)]
struct Identified {
    id: String,
}

/// `hightouch`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ActionBody {
    environment_id: String,
    context_kind: Option<String>,
    cohort_id: String,
    cohort_name: Option<String>,
    action: String,
    members: Vec<HightouchMember>,
}

#[derive(Deserialize)]
struct HightouchMember {
    integration_distinct_id: String,
}

// === impl BatchBody ===

impl From<CensusBody> for BatchBody {
    fn from(body: CensusBody) -> Self {
        let camel = |item: CensusItem| BatchItem {
            user_id: item.user_id,
            cohort_id: item.cohort_id,
            cohort_name: item.cohort_name,
            cohort_url: None,
            value: item.value,
        };
        Self {
            environment_id: body.environment_id,
            context_kind: body.context_kind,
            batch: body.batch.into_iter().map(camel).collect(),
        }
    }
}

/// Reads the body of an integration.
pub(super) fn read(integration: &str, body: &[u8]) -> Result<CohortSync, PartnerBodyError> {
    let sync = match integration {
        "segment-audiences" | "amplitude" => from_batch(serde_json::from_slice(body)?)?,
        "census-synced-segments" => from_batch(serde_json::from_slice::<CensusBody>(body)?.into())?,
        "rudderstack" => from_lists(serde_json::from_slice(body)?, "listData")?,
        "fulcrum" | "sumatra-synced-segments" => {
            from_lists(serde_json::from_slice(body)?, "included")?
        }
        "hightouch" => from_action(serde_json::from_slice(body)?),
        _ => return Err(PartnerBodyError::UnknownIntegration(integration.to_owned())),
    };
    for (name, value) in [
        ("environmentId", &sync.environment_id),
        ("cohortId", &sync.cohort.id),
        ("contextKind", &sync.context_kind),
    ] {
        if value.is_empty() {
            return Err(PartnerBodyError::Empty(name));
        }
    }
    Ok(sync)
}

fn from_batch(body: BatchBody) -> Result<CohortSync, PartnerBodyError> {
    let first = body.batch.first().ok_or(PartnerBodyError::NoCohort)?;
    let cohort = Cohort {
        id: first.cohort_id.clone(),
        name: first.cohort_name.clone(),
        url: first.cohort_url.clone(),
    };
    if body.batch.iter().any(|item| item.cohort_id != cohort.id) {
        return Err(PartnerBodyError::SeveralCohorts);
    }
    let verb = |member| if member { Verb::Add } else { Verb::Remove };
    let keys = body.batch.into_iter().map(|item| (verb(item.value), item.user_id)).collect();
    Ok(CohortSync {
        environment_id: body.environment_id,
        context_kind: kind_or_user(body.context_kind),
        cohort,
        keys,
    })
}

fn from_lists(body: ListsBody, field: &'static str) -> Result<CohortSync, PartnerBodyError> {
    let lists = if field == "listData" { body.list_data } else { body.included };
    let Lists { add, remove } = lists.ok_or(PartnerBodyError::NoLists(field))?;
    let adds = add.into_iter().map(|it| (Verb::Add, it.id));
    let keys = adds.chain(remove.into_iter().map(|it| (Verb::Remove, it.id))).collect();
    Ok(CohortSync {
        environment_id: body.environment_id,
        context_kind: kind_or_user(body.context_kind),
        cohort: Cohort { id: body.cohort_id, name: body.cohort_name, url: body.cohort_url },
        keys,
    })
}

fn from_action(body: ActionBody) -> CohortSync {
    // Anything else removes: so the manifest has it.
    let verb = if body.action == "add" { Verb::Add } else { Verb::Remove };
    let keys = body.members.into_iter().map(|it| (verb, it.integration_distinct_id)).collect();
    CohortSync {
        environment_id: body.environment_id,
        context_kind: kind_or_user(body.context_kind),
        cohort: Cohort { id: body.cohort_id, name: body.cohort_name, url: None },
        keys,
    }
}

fn kind_or_user(context_kind: Option<String>) -> String {
    context_kind.unwrap_or_else(|| USER.to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn read_json(integration: &str, body: &Value) -> Result<CohortSync, PartnerBodyError> {
        read(integration, body.to_string().as_bytes())
    }

    #[test]
    fn every_integration_speaks_its_own_way_u1() {
        let bodies = [
            (
                "segment-audiences",
                json!({"environmentId": "e", "contextKind": "user", "batch": [
                    {"userId": "a", "cohortName": "VIP", "cohortId": "vip", "value": true},
                    {"userId": "b", "cohortName": "VIP", "cohortId": "vip", "value": false}]}),
            ),
            (
                "amplitude",
                json!({"environmentId": "e", "batch": [
                    {"userId": "a", "cohortName": "VIP", "cohortId": "vip", "value": true},
                    {"userId": "b", "cohortName": "VIP", "cohortId": "vip", "value": false}]}),
            ),
            (
                "census-synced-segments",
                json!({"environment_id": "e", "context_kind": "user", "batch": [
                    {"user_id": "a", "cohort_id": "vip", "cohort_name": "VIP", "value": true},
                    {"user_id": "b", "cohort_id": "vip", "cohort_name": "VIP", "value": false}]}),
            ),
            (
                "rudderstack",
                json!({"environmentId": "e", "cohortId": "vip", "cohortName": "VIP",
                    "listData": {"add": [{"id": "a"}], "remove": [{"id": "b"}]}}),
            ),
            (
                "sumatra-synced-segments",
                json!({"environmentId": "e", "cohortId": "vip", "cohortName": "VIP",
                    "included": {"add": [{"id": "a"}], "remove": [{"id": "b"}]}}),
            ),
        ];
        for (integration, body) in bodies {
            let sync = read_json(integration, &body).expect(integration);
            assert_eq!((&*sync.environment_id, &*sync.context_kind), ("e", "user"));
            assert_eq!((&*sync.cohort.id, sync.cohort.name.as_deref()), ("vip", Some("VIP")));
            let keys = [(Verb::Add, "a".to_owned()), (Verb::Remove, "b".to_owned())];
            assert_eq!(sync.keys, keys, "{integration}");
        }
    }

    #[test]
    fn hightouch_adds_on_one_word_only() {
        for (action, verb) in [("add", Verb::Add), ("remove", Verb::Remove), ("x", Verb::Remove)] {
            let body = json!({"environmentId": "e", "cohortId": "vip", "action": action,
                "members": [{"integration_distinct_id": "a"}]});
            let sync = read_json("hightouch", &body).expect("reads");
            assert_eq!(sync.keys, [(verb, "a".to_owned())], "{action}");
        }
    }

    #[test]
    fn what_names_no_single_cohort_is_refused() {
        let item = |cohort: &str| json!({"userId": "a", "cohortId": cohort, "value": true});
        for batch in [json!([]), json!([item("x"), item("y")]), json!([item("")])] {
            let body = json!({"environmentId": "e", "batch": batch});
            read_json("amplitude", &body).expect_err("refused");
        }
        let camel = json!({"environmentId": "e", "batch": [item("x")]});
        read_json("census-synced-segments", &camel).expect_err("speaks in snake case");
        let error = read_json("heap-inbound", &json!({})).expect_err("not played");
        assert!(matches!(error, PartnerBodyError::UnknownIntegration(_)), "{error}");
    }
}
