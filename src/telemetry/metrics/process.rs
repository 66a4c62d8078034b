//! What the operating system knows of the process; on Linux only.

use prometheus::Registry;

use super::MetricsError;
use super::kinds::{Declaration, Kind};

/// What the collector of the `prometheus` crate shows, in the README's words.
pub(super) const DECLARATIONS: &[Declaration] = &[
    gauge("process_resident_memory_bytes", "bytes", "Memory that the process holds (Linux)."),
    gauge("process_virtual_memory_bytes", "bytes", "Memory that the process may address (Linux)."),
    gauge("process_open_fds", "files", "Open files and connections (Linux)."),
    gauge("process_max_fds", "files", "How many the system allows (Linux)."),
    gauge("process_threads", "threads", "Threads of the process (Linux)."),
    gauge("process_start_time_seconds", "seconds", "Unix time of the process's start (Linux)."),
    Declaration {
        kind: Kind::Counter,
        ..gauge("process_cpu_seconds_total", "seconds", "Processor time used (Linux).")
    },
];

const fn gauge(name: &'static str, unit: &'static str, help: &'static str) -> Declaration {
    Declaration { name, kind: Kind::Gauge, labels: &[], unit, help, buckets: &[] }
}

/// Adds the process to what is shown.
pub(super) fn collect(registry: &Registry) -> Result<(), MetricsError> {
    #[cfg(target_os = "linux")]
    registry.register(Box::new(prometheus::process_collector::ProcessCollector::for_self()))?;
    #[cfg(not(target_os = "linux"))]
    let _unused: &Registry = registry;
    Ok(())
}
