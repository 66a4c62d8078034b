//! What an account may be strict about with segments, and LaunchDarkly does not put a number on.
//!
//! Set when the sandbox starts and replaced by `PUT /sandbox/segment-rules`.

use axum::http::StatusCode;
use serde::{Deserialize, Serialize};

use super::operation::Target;
use super::refusal::Refusal;

/// Rules for writing to segments; by default there are none.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SegmentRules {
    /// The most keys that one request to `/contexts`, `/users` or `/segment-targets` may hold.
    pub max_keys_per_request: Option<KeyLimit>,
    /// Environments in which changes of who is in a segment need an approval: they get 403.
    pub approvals_required: Vec<ApprovalEnvironment>,
}

/// A limit, and how a request beyond it is refused: both are undocumented.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyLimit {
    /// This many keys are accepted.
    pub keys: usize,
    /// 400 or 413.
    #[serde(default = "too_large")]
    pub status: u16,
}

/// An environment that requires approvals.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApprovalEnvironment {
    /// The project's key.
    pub project: String,
    /// The environment's key.
    pub environment: String,
}

fn too_large() -> u16 {
    StatusCode::PAYLOAD_TOO_LARGE.as_u16()
}

// === impl SegmentRules ===

impl SegmentRules {
    /// # Errors
    /// What makes no sense about the rules.
    pub(super) fn check(&self) -> Result<(), String> {
        match self.max_keys_per_request {
            Some(KeyLimit { status, .. }) if !matches!(status, 400 | 413) => {
                Err("`max_keys_per_request.status` must be 400 or 413".to_owned())
            }
            Some(_) | None => Ok(()),
        }
    }

    /// # Errors
    /// 400 or 413 for more keys than one request may hold.
    pub(super) fn ensure_few(&self, keys: usize) -> Result<(), Refusal> {
        match self.max_keys_per_request {
            Some(limit) if keys > limit.keys => {
                let status = StatusCode::from_u16(limit.status).unwrap_or(StatusCode::BAD_REQUEST);
                let message =
                    format!("the request holds {keys} keys, and {} is the most", limit.keys);
                Err(Refusal::new(status, message))
            }
            Some(_) | None => Ok(()),
        }
    }

    /// # Errors
    /// 403 where approvals are required.
    pub(super) fn ensure_unapproved(&self, home: &Target) -> Result<(), Refusal> {
        let required = self
            .approvals_required
            .iter()
            .any(|it| it.project == home.project && it.environment == home.environment);
        if required { Err(Refusal::forbidden("approval is required")) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_of_n_accepts_n_keys() {
        let rules: SegmentRules =
            serde_json::from_str(r#"{"max_keys_per_request": {"keys": 3}}"#).expect("rules");
        for (keys, status) in [(2, None), (3, None), (4, Some(413))] {
            let refused = rules.ensure_few(keys).err().map(|refusal| refusal.status.as_u16());
            assert_eq!(refused, status, "{keys}");
        }
        SegmentRules::default().ensure_few(usize::MAX).expect("no limit by default");
    }

    #[test]
    fn other_statuses_and_unknown_fields_are_refused() {
        let odd = r#"{"max_keys_per_request": {"keys": 3, "status": 500}}"#;
        serde_json::from_str::<SegmentRules>(odd).expect("reads").check().expect_err("status");
        serde_json::from_str::<SegmentRules>(r#"{"max_keys": 3}"#).expect_err("unknown");
    }
}
