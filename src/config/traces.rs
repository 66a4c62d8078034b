//! `traces`: where spans are exported to, and which ones. Off unless an endpoint is given.

use std::ops::RangeInclusive;
use std::time::Duration;

use secrecy::SecretString;

use super::keys;
use super::raw::{Entry, Scalar};
use super::section::{Section, check_name, entries, scalar};
use super::targets::base_url;
use crate::kafka::settings::KafkaSettings;
use crate::telemetry::settings::TraceSettings;

const SAMPLE: RangeInclusive<u32> = 0..=100;
/// The upper end is a drain's.
const TIMEOUT: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(60);
const LINGER: RangeInclusive<Duration> = Duration::from_millis(10)..=Duration::from_secs(60);
/// From what one busy second makes to what is worth its memory.
const MAX_QUEUE: RangeInclusive<u32> = 100..=100_000;

const SERVICE_NAME: &str = "ldsink";
/// The path that OTLP adds to the endpoint.
const PATH: &str = "/v1/traces";
/// The property that names a member for good.
const STATIC_MEMBER: &str = "group.instance.id";

/// Reads the section. A static member of the group is an instance of the same name.
pub(super) fn read(root: &Section<'_>, kafka: &KafkaSettings) -> Option<TraceSettings> {
    let section = &root.section("traces", keys::TRACES);
    let headers = headers(section);
    let settings = TraceSettings {
        endpoint: endpoint(section, !headers.is_empty()).unwrap_or_default(),
        headers,
        service_name: service_name(section),
        instance: instance(kafka),
        sample_percent: section.percent("sample", 100, &SAMPLE),
        timeout: section.duration("timeout", Duration::from_secs(10), &TIMEOUT),
        linger: section.duration("linger", Duration::from_secs(5), &LINGER),
        max_queue: usize::try_from(section.count("max_queue", 2_000, &MAX_QUEUE))
            .unwrap_or(usize::MAX),
    };
    if section.get("endpoint").is_some() {
        return Some(settings);
    }
    if let Some(headers) = section.get("headers") {
        let problem = "has no meaning without traces.endpoint";
        section.review.mistake(headers.at(), problem, "give both, or neither");
    }
    None
}

fn endpoint(section: &Section<'_>, has_headers: bool) -> Option<String> {
    let written = section.text("endpoint")?;
    let url = base_url(section.review, written, has_headers.then_some("the headers"))?;
    if url.ends_with(PATH) {
        let problem = format!("{} is more than the base address", written.shown());
        section.review.mistake(&written.at, problem, "leave /v1/traces out: it is added");
    }
    Some(url)
}

fn instance(kafka: &KafkaSettings) -> Option<String> {
    let mut properties = kafka.properties.iter();
    Some(properties.find(|(name, _)| name == STATIC_MEMBER)?.1.clone())
}

fn service_name(section: &Section<'_>) -> String {
    let name = section.text("service_name");
    section.review.note_default(&section.at.child("service_name").key, SERVICE_NAME);
    name.map_or(SERVICE_NAME, |scalar| &scalar.text).to_owned()
}

fn headers(section: &Section<'_>) -> Vec<(String, SecretString)> {
    let Some(value) = section.get("headers") else { return Vec::new() };
    let given = entries(section.review, value).iter();
    given.filter_map(|entry| header(section, entry)).collect()
}

fn header(section: &Section<'_>, entry: &Entry) -> Option<(String, SecretString)> {
    let review = section.review;
    let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    if entry.name.is_empty() || !entry.name.chars().all(is_name) {
        let remedy = "use letters, digits, `-` and `_`";
        review.mistake(&entry.at, "cannot name a header", remedy);
    }
    let value: &Scalar = scalar(review, &entry.value)?;
    check_name(
        review,
        value,
        |c| c == ' ' || c.is_ascii_graphic(),
        "use printable ASCII characters on one line",
    );
    Some((entry.name.clone(), SecretString::from(value.text.clone())))
}
