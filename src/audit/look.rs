//! Reads a target: who the token stands for, the metrics, and the segments that routes name.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};

use super::report::{Chapter, Grade};
use crate::launchdarkly::answer::{Answered, ApiError, ErrorClass};
use crate::launchdarkly::caller::{Caller, CallerClient};
use crate::launchdarkly::facts::{Access, metric_facts};
use crate::launchdarkly::metrics::MetricsClient;
use crate::launchdarkly::rest::RestClient;
use crate::launchdarkly::segments::SegmentsClient;
use crate::launchdarkly::settings::TargetSettings;
use crate::model::claim::Claim;
use crate::model::knowledge::Knowledge;
use crate::pipeline::check::verdict::{is_key, segment_key};
use crate::pipeline::route::claim::claim_of;
use crate::pipeline::route::settings::RouteSettings;

/// A busy account is asked this often before that is an error.
const ATTEMPTS: u32 = 4;
/// The longest pause that is worth waiting for.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_secs(1);

/// What was read of one target.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub(super) knowledge: Knowledge,
    /// By metric key.
    pub(super) metrics: BTreeMap<String, Map<String, Value>>,
    /// What LaunchDarkly says of our rights, by resource.
    pub(super) access: BTreeMap<String, Access>,
}

/// Reads a target; `None` when that makes no sense to go on with.
pub(super) async fn look(
    rest: &RestClient,
    target: &TargetSettings,
    routes: &[&RouteSettings],
    chapter: &mut Chapter,
) -> Option<Seen> {
    let caller = CallerClient::new(rest.clone());
    match patiently(|| caller.get()).await {
        Ok(caller) => chapter.say(Grade::Fine, introduced(&caller)),
        Err(error) => {
            let remedy = "check `access_token`, and `instance` or `api_url`";
            chapter.err(format!("the token cannot be tried: {error}"), remedy);
            return None;
        }
    }
    let segments = SegmentsClient::new(rest.clone());
    let (project, environment) = (&target.project, &target.environment);
    if let Err(error) = patiently(|| segments.find_environment()).await {
        let place = format!("the project `{project}` with its environment `{environment}`");
        chapter.err(format!("{place} cannot be read: {error}"), remedy(&error));
        return None;
    }
    let text = format!("project `{project}` and environment `{environment}` can be read");
    chapter.say(Grade::Fine, text);
    let mut seen = Seen::default();
    let claims: Vec<Claim> = routes.iter().map(|route| claim_of(&route.operation)).collect();
    if claims.iter().any(|claim| !matches!(claim, Claim::Segment { .. })) {
        let metrics = MetricsClient::new(rest.clone());
        match all_metrics(&metrics).await {
            Ok(found) => seen.take_metrics(project, found, chapter),
            Err(error) => {
                chapter.err(format!("the metrics cannot be read: {error}"), remedy(&error));
            }
        }
    }
    for claim in claims {
        let Claim::Segment { key: Some(key), shape } = claim else { continue };
        let key = segment_key(&key, &shape).into_owned();
        if !is_key(&key) || seen.knowledge.segments.contains_key(&key) {
            continue;
        }
        match patiently(|| segments.get(&key)).await {
            Ok(found) => {
                if let Some(found) = &found {
                    let resource = format!("proj/{project}:env/{environment}:segment/{key}");
                    seen.access.insert(resource, found.access.clone());
                }
                seen.knowledge.segments.insert(key, found.map(|found| found.kind.into()));
            }
            Err(error) => {
                chapter.err(format!("segment `{key}` cannot be read: {error}"), remedy(&error));
            }
        }
    }
    Some(seen)
}

impl Seen {
    fn take_metrics(
        &mut self,
        project: &str,
        found: Vec<Map<String, Value>>,
        chapter: &mut Chapter,
    ) {
        chapter.say(Grade::Fine, format!("{} metrics can be read", found.len()));
        let facts = found.iter().filter_map(metric_facts).collect();
        self.knowledge.metrics = Some(Arc::new(Knowledge::by_event_key(facts)));
        for metric in found {
            let Some(key) = metric.get("key").and_then(Value::as_str).map(str::to_owned) else {
                continue;
            };
            self.access.insert(format!("proj/{project}:metric/{key}"), Access::of(&metric));
            self.metrics.insert(key, metric);
        }
    }
}

async fn all_metrics(client: &MetricsClient) -> Result<Vec<Map<String, Value>>, ApiError> {
    let (mut all, mut next) = (Vec::new(), Some(0));
    while let Some(offset) = next {
        let page = patiently(|| client.list(offset)).await?;
        all.extend(page.items);
        next = page.next;
    }
    Ok(all)
}

/// Makes a request again while LaunchDarkly is busy, as it asks for.
async fn patiently<T, F, R>(request: F) -> Result<T, ApiError>
where
    F: Fn() -> R,
    R: Future<Output = Result<Answered<T>, ApiError>>,
{
    let mut attempt = 1;
    loop {
        match request().await {
            Ok(answer) => return Ok(answer.value),
            Err(error)
                if attempt < ATTEMPTS
                    && matches!(error.class, ErrorClass::Throttled | ErrorClass::Unavailable) =>
            {
                attempt += 1;
                tokio::time::sleep(error.hint.unwrap_or(PAUSE).min(LONGEST_PAUSE)).await;
            }
            Err(error) => return Err(error),
        }
    }
}

fn introduced(caller: &Caller) -> String {
    let kind = match caller.service_token {
        Some(true) => "a service token",
        Some(false) => "a personal token, which vanishes with its member",
        None => "an access token",
    };
    let name = caller.token_name.as_ref().map(|name| format!(" named `{name}`"));
    format!("LaunchDarkly accepts the token: {kind}{}", name.unwrap_or_default())
}

fn remedy(error: &ApiError) -> &'static str {
    match error.status {
        Some(401 | 403) => "allow `viewProject` on the project for the token's role",
        Some(404) => "check `project` and `environment`, and `instance` or `api_url`",
        _ => "try again; if it stays so, check `instance` or `api_url`",
    }
}
