//! What ought to have become of the made-up orders, told from the records alone.

use serde_json::Value;

use crate::support::kafka::StoredRecord;

/// Records by what `config/compose/ldsink.yaml` makes of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Account {
    pub(super) delivered: u64,
    pub(super) filtered: u64,
    pub(super) dead_letters: u64,
}

// === impl Account ===

impl Account {
    pub(super) fn of(records: &[StoredRecord]) -> Self {
        let mut account = Self::default();
        for record in records {
            *account.outcome(record.value.as_deref()) += 1;
        }
        account
    }

    fn outcome(&mut self, value: Option<&[u8]>) -> &mut u64 {
        let Some(value) = value else { return &mut self.filtered };
        let Ok(change) = serde_json::from_slice::<Value>(value) else {
            return &mut self.dead_letters;
        };
        let created = change["op"] == "c" && change["after"]["status"] != "test";
        match (created, change["after"]["user_id"].is_string()) {
            (false, _) => &mut self.filtered,
            (true, true) => &mut self.delivered,
            (true, false) => &mut self.dead_letters,
        }
    }
}
