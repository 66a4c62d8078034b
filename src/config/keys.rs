//! Every key of the configuration file, in one table.
//!
//! The readers refuse what is not in it, and a test holds the reference file against it, so a new
//! key cannot stay undocumented.
//!
//! Not here: types, defaults and ranges (the files of the sections).

/// The keys of one section.
#[derive(Debug, Clone, Copy)]
pub struct SectionKeys {
    /// The section's path; `*` stands for a name, `[]` for an item of a list.
    pub section: &'static str,
    pub keys: &'static [&'static str],
}

pub(super) const ROOT: SectionKeys = SectionKeys {
    section: "",
    keys: &[
        "kafka",
        "targets",
        "routes",
        "unmatched",
        "batch",
        "segments",
        "delivery",
        "dead_letter",
        "limits",
        "checks",
        "commit_interval",
        "drain_deadline",
        "admin",
        "log",
        "traces",
    ],
};
pub(super) const KAFKA: SectionKeys = SectionKeys {
    section: "kafka",
    keys: &["bootstrap_servers", "group_id", "startup_timeout", "properties"],
};
pub(super) const TARGET: SectionKeys = SectionKeys {
    section: "targets.*",
    keys: &[
        "access_token",
        "access_token_file",
        "project",
        "environment",
        "instance",
        "api_url",
        "events_url",
        "company",
    ],
};
pub(super) const ROUTE: SectionKeys = SectionKeys {
    section: "routes[]",
    keys: &[
        "name",
        "topics",
        "format",
        "before",
        "when",
        "checks",
        "retry_for",
        "priority",
        "metric_event",
        "metric",
        "segment_member",
    ],
};
pub(super) const METRIC_EVENT: SectionKeys = SectionKeys {
    section: "routes[].metric_event",
    keys: &["target", "key", "context", "value", "time", "data"],
};
pub(super) const METRIC: SectionKeys = SectionKeys {
    section: "routes[].metric",
    keys: &[
        "target",
        "key",
        "kind",
        "name",
        "description",
        "tags",
        "is_numeric",
        "event_key",
        "success_criteria",
        "unit",
        "selector",
        "urls",
        "analysis_units",
        "unit_aggregation_type",
        "unit_aggregation_field",
        "analysis_type",
        "percentile_value",
        "event_default",
        "data_source",
        "filters",
        "window_start_offset",
        "window_end_offset",
        "winsor_lower_percentile",
        "winsor_upper_percentile",
        "winsor_include_imputed",
        "trace_query",
        "trace_value_location",
        "denominator",
        "value_column",
        "maintainer_id",
        "archived",
        "on_delete",
    ],
};
pub(super) const SEGMENT_MEMBER: SectionKeys = SectionKeys {
    section: "routes[].segment_member",
    keys: &[
        "target",
        "segment",
        "name",
        "kind",
        "context_kind",
        "context_key",
        "member",
        "list",
        "exclusive",
        "create",
        "description",
        "tags",
        "synced",
    ],
};
pub(super) const SYNCED: SectionKeys = SectionKeys {
    section: "routes[].segment_member.synced",
    keys: &["integration_key", "client_side_id", "cohort_id"],
};
pub(super) const FIELD: SectionKeys = SectionKeys {
    section: "routes[].metric_event.*",
    keys: &["from", "expr", "literal", "as", "unit", "scale", "optional", "default"],
};
pub(super) const BATCH: SectionKeys =
    SectionKeys { section: "batch", keys: &["max_events", "max_bytes", "linger"] };
pub(super) const SEGMENTS: SectionKeys =
    SectionKeys { section: "segments", keys: &["max_members", "linger"] };
pub(super) const DELIVERY: SectionKeys = SectionKeys {
    section: "delivery",
    keys: &[
        "concurrency",
        "gzip",
        "requests_per_second",
        "burst",
        "reserve",
        "request_timeout",
        "retry_initial",
        "retry_max",
        "probe_interval",
    ],
};
pub(super) const DEAD_LETTER: SectionKeys =
    SectionKeys { section: "dead_letter", keys: &["topic", "create", "guard"] };
pub(super) const GUARD: SectionKeys = SectionKeys {
    section: "dead_letter.guard",
    keys: &["enabled", "max_run", "max_share", "window", "probe_interval"],
};
pub(super) const LIMITS: SectionKeys =
    SectionKeys { section: "limits", keys: &["in_flight_bytes", "partition_in_flight_bytes"] };
pub(super) const CHECKS: SectionKeys =
    SectionKeys { section: "checks", keys: &["enabled", "interval", "reread"] };
pub(super) const ADMIN: SectionKeys =
    SectionKeys { section: "admin", keys: &["listen", "token", "token_file"] };
pub(super) const LOG: SectionKeys = SectionKeys { section: "log", keys: &["level", "format"] };
pub(super) const TRACES: SectionKeys = SectionKeys {
    section: "traces",
    keys: &["endpoint", "headers", "service_name", "sample", "timeout", "linger", "max_queue"],
};

/// All sections, in the order of the reference file.
pub const SECTIONS: [SectionKeys; 19] = [
    ROOT,
    KAFKA,
    TARGET,
    ROUTE,
    METRIC_EVENT,
    METRIC,
    SEGMENT_MEMBER,
    SYNCED,
    FIELD,
    BATCH,
    SEGMENTS,
    DELIVERY,
    DEAD_LETTER,
    GUARD,
    LIMITS,
    CHECKS,
    ADMIN,
    LOG,
    TRACES,
];
