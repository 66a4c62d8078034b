//! Who we are to LaunchDarkly: `/api/v2/caller-identity`.
//!
//! It tells that the token is one, and what it is called. What its role allows it does not tell.
//!
//! Source: <https://launchdarkly.com/docs/api/other/get-caller-identity>.

use serde::Deserialize;

use super::answer::{Answered, ApiError};
use super::rest::{Request, RestClient};

/// Asks who the token stands for.
#[derive(Debug, Clone)]
pub struct CallerClient {
    rest: RestClient,
}

/// The token as LaunchDarkly knows it; every part may be missing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Caller {
    pub account_id: Option<String>,
    pub token_name: Option<String>,
    /// Belongs to no member, so it does not vanish with one.
    pub service_token: Option<bool>,
}

impl CallerClient {
    pub fn new(rest: RestClient) -> Self {
        Self { rest }
    }

    pub async fn get(&self) -> Result<Answered<Caller>, ApiError> {
        self.rest.send(&Request::get(&["caller-identity"])).await?.json()
    }
}
