//! What a person has to mend of which a lane as a whole takes no notice, as one segment's kind.
//!
//! Not here: what stops the lane (`courier`).

use super::courier::{Abandoned, Courier};
use crate::model::fence::Fence;

impl Courier {
    /// Says what a person has to mend, once, and waits until it may be worth another look.
    pub(super) async fn wait_for_a_person(
        &self,
        part: &str,
        reason: &str,
        fences: &[Fence],
    ) -> Result<(), Abandoned> {
        if self.reports.health.fault(part, reason) {
            tracing::error!(
                target_name = self.target,
                operation = self.operation,
                reason,
                "a lane waits for a fault of the configuration to be mended"
            );
        }
        self.pause(self.settings.probe_interval, fences).await
    }

    /// What a person had to mend is mended.
    pub(super) fn heal(&self, part: &str) {
        if self.reports.health.heal(part) {
            tracing::info!(target_name = self.target, part, "the lane goes on");
        }
    }

    /// What a person had to mend is no concern of ours any more.
    pub(super) fn forget(&self, part: &str) {
        self.reports.health.heal(part);
    }
}
