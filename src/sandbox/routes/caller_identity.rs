//! `GET /api/v2/caller-identity`: who the token stands for.
//!
//! The answer's fields are all optional. What a token's role allows is not among them.

use std::sync::Arc;

use axum::extract::{ConnectInfo, Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::json;

use super::rest::Arrival;
use crate::sandbox::account::Account;
use crate::sandbox::identifiers::object_id;
use crate::sandbox::line::Line;
use crate::sandbox::operation::{Operation, Place};
use crate::sandbox::reception::Granted;

pub(super) async fn handle(
    State(account): State<Arc<Account>>,
    ConnectInfo(line): ConnectInfo<Line>,
    request: Request,
) -> Response {
    let asked = (Operation::CallerIdentity, Place::default());
    let arrival = Arrival::read(&account, request).await;
    arrival
        .serve(account, line, asked, |_, _| {
            let answer = json!({
                "accountId": object_id(&["account"]),
                "authKind": "token",
                "tokenKind": "auth",
                "tokenName": "sandbox",
                "tokenId": object_id(&["token"]),
                "serviceToken": true,
            });
            Granted::json(StatusCode::OK, &answer)
        })
        .await
}
