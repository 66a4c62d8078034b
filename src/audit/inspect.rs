//! Judges every route and every right by what LaunchDarkly has.

use std::time::Duration;

use secrecy::ExposeSecret;
use serde_json::Value;

use super::look::{Seen, look};
use super::policy::{Kind, Rights};
use super::report::{Chapter, Grade, Report};
use crate::launchdarkly::facts::Access;
use crate::launchdarkly::rest::RestClient;
use crate::launchdarkly::settings::{ClientError, TargetSettings};
use crate::model::claim::{CheckPolicy, Claim, Presence};
use crate::model::outcome::RefusalReason;
use crate::pipeline::check::explain;
use crate::pipeline::check::verdict::{
    Event, Verdict, of_event, of_metric, of_segment, segment_key,
};
use crate::pipeline::route::claim::claim_of;
use crate::pipeline::route::settings::{FieldSource, OperationSettings, RouteSettings};
use crate::pipeline::settings::PipelineSettings;

/// A person waits; what takes longer than this is an error worth seeing.
const TIMEOUT: Duration = Duration::from_secs(15);

/// Reads everything and judges it. `now_ms` gives the Unix time in milliseconds.
///
/// # Errors
/// When no request can be made at all. What LaunchDarkly answers is in the report.
pub async fn inspect(
    targets: &[TargetSettings],
    pipeline: &PipelineSettings,
    now_ms: fn() -> i64,
) -> Result<Report, ClientError> {
    let mut report = Report::default();
    for (index, target) in targets.iter().enumerate() {
        let routes: Vec<&RouteSettings> =
            pipeline.routes.iter().filter(|it| it.operation.target().0 == index).collect();
        let title = format!(
            "target {}: {}/{} at {}",
            target.name, target.project, target.environment, target.api_url
        );
        let mut chapter = Chapter::new(title);
        let rest = RestClient::new(target, TIMEOUT, now_ms)?;
        let seen = look(&rest, target, &routes, &mut chapter).await;
        if let Some(seen) = &seen {
            let own = [(index, target)];
            let rights = Rights::of(&own, routes.iter().copied(), pipeline.checks.enabled);
            judge_rights(&rights, seen, &mut chapter);
        }
        report.chapters.push(chapter);
        let Some(seen) = seen else { continue };
        for route in routes {
            let mut chapter =
                Chapter::new(format!("route {} (target {})", route.name, target.name));
            judge(route, &pipeline.routes, &seen, &mut chapter);
            report.chapters.push(chapter);
        }
    }
    report.policies = policies(targets, pipeline);
    Ok(report)
}

// === routes ===

fn judge(route: &RouteSettings, all: &[RouteSettings], seen: &Seen, chapter: &mut Chapter) {
    if route.checks == CheckPolicy::Off {
        return chapter.say(Grade::Skipped, "the route says `checks: off`");
    }
    match claim_of(&route.operation) {
        Claim::Event { key: Some(key), context_kinds, value } => {
            let has_value = value != Presence::Never;
            let event = Event { key: &key, context_kinds: &context_kinds, has_value };
            judge_event(event, value, route, all, seen, chapter);
        }
        Claim::Segment { key: Some(key), shape } => {
            match of_segment(&key, &shape, &seen.knowledge) {
                Verdict::Counts => {
                    let text = format!("segment `{key}` is there in this shape, or will be made");
                    chapter.say(Grade::Fine, text);
                }
                Verdict::Unknown => {
                    chapter.say(Grade::Skipped, format!("segment `{key}` could not be read"));
                }
                Verdict::Mistaken(reason) => {
                    let found = seen.knowledge.segments.get(&*segment_key(&key, &shape));
                    let found = found.and_then(Option::as_ref);
                    let detail = explain::segment(&key, &shape, reason, found);
                    note_mistake(reason, &detail, chapter);
                }
            }
        }
        Claim::Metric { key: Some(key), .. } => judge_metric(&key, route, seen, chapter),
        Claim::Event { key: None, .. } => {
            chapter.say(Grade::Skipped, "records bring the event key; the service checks each one");
        }
        Claim::Segment { key: None, .. } => {
            chapter.say(Grade::Skipped, "records name the segment; the service checks each one");
        }
        Claim::Metric { key: None, .. } => {
            chapter.say(Grade::Skipped, "records name the metric; the service checks each one");
        }
    }
}

fn judge_event(
    event: Event<'_>,
    value: Presence,
    route: &RouteSettings,
    all: &[RouteSettings],
    seen: &Seen,
    chapter: &mut Chapter,
) {
    let listening = seen.knowledge.metrics.as_ref().and_then(|all| all.get(event.key));
    let maker = all.iter().find(|other| {
        let own = claim_of(&other.operation);
        let same_target = other.operation.target() == route.operation.target();
        matches!(own, Claim::Metric { event_key: Some(key), .. } if key == event.key && same_target)
    });
    match of_event(event, &seen.knowledge) {
        Verdict::Unknown => chapter.say(Grade::Skipped, "the metrics could not be read"),
        Verdict::Counts => {}
        Verdict::Mistaken(RefusalReason::MetricMissing) if maker.is_some() => {
            let maker = maker.map_or("", |maker| maker.name.as_str());
            let text = format!(
                "no metric has the event key `{}` yet; route `{maker}` defines one",
                event.key
            );
            chapter.say(Grade::Note, text);
        }
        Verdict::Mistaken(reason) => {
            note_mistake(reason, &explain::event(event, reason, &seen.knowledge), chapter);
        }
    }
    for metric in listening.into_iter().flatten() {
        match of_metric(event, metric) {
            None if metric.is_numeric && value == Presence::Sometimes => chapter.say(
                Grade::Note,
                format!(
                    "metric `{}` measures a number; records without `value` do not count",
                    metric.key
                ),
            ),
            None => chapter.say(Grade::Fine, format!("metric `{}` counts it", metric.key)),
            Some(reason) => chapter.say(
                Grade::Note,
                format!("metric `{}` does not count it: {}", metric.key, reason.as_str()),
            ),
        }
    }
}

fn judge_metric(key: &str, route: &RouteSettings, seen: &Seen, chapter: &mut Chapter) {
    let Some(metric) = seen.metrics.get(key) else {
        let text = match &seen.knowledge.metrics {
            Some(_) => format!("metric `{key}` will be made"),
            None => "the metrics could not be read".to_owned(),
        };
        return chapter.say(Grade::Skipped, text);
    };
    let found = metric.get("kind").and_then(Value::as_str).unwrap_or_default();
    match literal_kind(route) {
        Some(wanted) if wanted != found => {
            let detail = format!("metric `{key}` is of kind {found}, the route says {wanted}");
            note_mistake(RefusalReason::MetricKindDiffers, &detail, chapter);
        }
        Some(_) | None => chapter.say(Grade::Fine, format!("metric `{key}` is there")),
    }
}

fn literal_kind(route: &RouteSettings) -> Option<&str> {
    let OperationSettings::Metric(metric) = &route.operation else { return None };
    let (_, field) = metric.fields.iter().find(|(name, _)| name == "kind")?;
    if let FieldSource::Literal(kind) = &field.from { kind.as_str() } else { None }
}

fn note_mistake(reason: RefusalReason, detail: &str, chapter: &mut Chapter) {
    chapter.err(format!("{}: {detail}", reason.as_str()), reason.remedy());
}

// === rights ===

/// Says of every right whether LaunchDarkly says that we have it (A2).
fn judge_rights(rights: &Rights, seen: &Seen, chapter: &mut Chapter) {
    for (kind, resource, actions) in rights.iter().filter(|(kind, ..)| *kind != Kind::Project) {
        let told: Vec<&Access> = match resource.strip_suffix('*') {
            Some(start) if kind == Kind::Metric => {
                let all = seen.access.iter().filter(|(name, _)| name.starts_with(start));
                all.map(|(_, access)| access).collect()
            }
            _ => seen.access.get(resource).into_iter().collect(),
        };
        let everywhere = |list: fn(&Access) -> &Vec<String>, action: &str| {
            !told.is_empty() && told.iter().all(|it| list(it).iter().any(|told| told == action))
        };
        for action in actions {
            if everywhere(|access| &access.denied, action) {
                let text =
                    format!("LaunchDarkly says that the token may not {action} on {resource}");
                chapter
                    .err(text, "allow it for the token's role; the policy below has all it needs");
            } else if everywhere(|access| &access.allowed, action) {
                let text = format!("LaunchDarkly says that the token may {action} on {resource}");
                chapter.say(Grade::Fine, text);
            } else {
                let text = format!("{action} on {resource}: only a write would show it");
                chapter.say(Grade::Unproven, text);
            }
        }
    }
    for field in &rights.undocumented {
        let text =
            format!("which action a change of the metric field {field} takes is not documented");
        chapter.say(Grade::Unproven, text);
    }
}

/// One policy for each token, since a role is a token's.
fn policies(targets: &[TargetSettings], pipeline: &PipelineSettings) -> Vec<(String, String)> {
    let mut groups: Vec<Vec<(usize, &TargetSettings)>> = Vec::new();
    for target in targets.iter().enumerate() {
        let same = |group: &&mut Vec<(usize, &TargetSettings)>| {
            group.first().is_some_and(|(_, first)| {
                first.access_token.expose_secret() == target.1.access_token.expose_secret()
                    && first.api_url == target.1.api_url
            })
        };
        match groups.iter_mut().find(same) {
            Some(group) => group.push(target),
            None => groups.push(vec![target]),
        }
    }
    let policy = |group: Vec<(usize, &TargetSettings)>| {
        let rights = Rights::of(&group, pipeline.routes.iter(), pipeline.checks.enabled);
        let names: Vec<_> = group.iter().map(|(_, it)| format!("target {}", it.name)).collect();
        (names.join(" and "), format!("{:#}", rights.to_policy()))
    };
    groups.into_iter().map(policy).collect()
}
