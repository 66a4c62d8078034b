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
        "commit_interval",
        "drain_deadline",
        "admin",
        "log",
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
    keys: &["name", "topics", "format", "when", "metric_event"],
};
pub(super) const METRIC_EVENT: SectionKeys = SectionKeys {
    section: "routes[].metric_event",
    keys: &["target", "key", "context", "value", "time", "data"],
};
pub(super) const FIELD: SectionKeys = SectionKeys {
    section: "routes[].metric_event.*",
    keys: &["from", "optional", "default", "literal"],
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
        "request_timeout",
        "retry_initial",
        "retry_max",
        "probe_interval",
    ],
};
pub(super) const DEAD_LETTER: SectionKeys =
    SectionKeys { section: "dead_letter", keys: &["topic", "create"] };
pub(super) const LIMITS: SectionKeys =
    SectionKeys { section: "limits", keys: &["in_flight_bytes", "partition_in_flight_bytes"] };
pub(super) const ADMIN: SectionKeys = SectionKeys { section: "admin", keys: &["listen"] };
pub(super) const LOG: SectionKeys = SectionKeys { section: "log", keys: &["level", "format"] };

/// All sections, in the order of the reference file.
pub const SECTIONS: [SectionKeys; 13] = [
    ROOT,
    KAFKA,
    TARGET,
    ROUTE,
    METRIC_EVENT,
    FIELD,
    BATCH,
    SEGMENTS,
    DELIVERY,
    DEAD_LETTER,
    LIMITS,
    ADMIN,
    LOG,
];
