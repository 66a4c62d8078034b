//! The admin address: the status page, metrics, health, and what a person may ask of the service.
//!
//! Reading needs no token; who may change something is decided in one place (`access`).

mod access;
mod api;
mod series;

use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use axum::{Json, Router};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

pub use self::access::Access;
use super::board::Board;
use super::clock;
use super::health::{Health, HealthReport};
use super::metrics::Metrics;
use super::settings::AdminSettings;

/// Somebody asks for a reload, and wants to hear how it went.
pub type ReloadRequest = oneshot::Sender<Result<String, String>>;

/// The whole page: no other file, no other host.
const PAGE: &str = include_str!("page.html");
/// The page may do what it needs, and nothing that a text it shows could ask for.
const PAGE_POLICY: &str = "default-src 'none'; script-src 'unsafe-inline'; style-src \
    'unsafe-inline'; connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; \
    frame-ancestors 'none'";

/// A bound, not yet serving admin address.
#[derive(Debug)]
pub struct Admin {
    listener: TcpListener,
    address: SocketAddr,
    view: View,
}

/// What the service shows here.
#[derive(Debug, Clone)]
pub struct Shown {
    pub health: Arc<Health>,
    pub metrics: Metrics,
    pub board: Board,
    /// Where reloads are asked for; `None` when there is no file.
    pub reloads: Option<mpsc::Sender<ReloadRequest>>,
}

/// What the endpoints read.
#[derive(Debug, Clone)]
struct View {
    health: Arc<Health>,
    metrics: Metrics,
    board: Board,
    reloads: Option<mpsc::Sender<ReloadRequest>>,
    access: Access,
    started_ms: i64,
}

/// The admin address cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address} for the admin endpoints; set `admin.listen` to a free address")]
pub struct AdminError {
    address: SocketAddr,
    #[source]
    source: std::io::Error,
}

impl Admin {
    pub async fn bind(settings: AdminSettings, shown: Shown) -> Result<Self, AdminError> {
        let failed = |source| AdminError { address: settings.listen, source };
        let listener = TcpListener::bind(settings.listen).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let Shown { health, metrics, board, reloads } = shown;
        let (access, started_ms) = (Access::new(address, settings.token), clock::now_ms());
        let view = View { health, metrics, board, reloads, access, started_ms };
        Ok(Self { listener, address, view })
    }

    /// Where it listens; tells the port when `:0` was asked for.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Who may change something.
    pub fn access(&self) -> Access {
        self.view.access.clone()
    }

    /// Serves until `stop` is cancelled.
    pub async fn serve(self, stop: CancellationToken) {
        let router = Router::new()
            .route("/", get(page))
            .route("/status", get(api::status))
            .route("/health", get(api::health))
            .route("/in-flight", get(api::in_flight))
            .route("/config", get(api::config))
            .route("/metrics", get(metrics))
            .route("/live", get(live))
            .route("/ready", get(ready))
            .route("/routes/{route}/pause", post(api::pause))
            .route("/routes/{route}/resume", post(api::resume))
            .route("/log-level", put(api::log_level))
            .route("/reload", post(api::reload))
            .with_state(self.view);
        let serving = axum::serve(self.listener, router)
            .with_graceful_shutdown(async move { stop.cancelled().await });
        if let Err(error) = serving.await {
            tracing::error!(%error, "the admin endpoints ended");
        }
    }
}

async fn page() -> Response {
    let headers = [
        (CONTENT_TYPE, "text/html; charset=utf-8"),
        (CONTENT_SECURITY_POLICY, PAGE_POLICY),
        (CACHE_CONTROL, "no-store"),
    ];
    (headers, PAGE).into_response()
}

async fn metrics(State(view): State<View>) -> Response {
    match view.metrics.render() {
        Ok(text) => ([(CONTENT_TYPE, "text/plain; version=0.0.4")], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

async fn live(State(view): State<View>) -> Response {
    answer(view.health.live())
}

async fn ready(State(view): State<View>) -> Response {
    answer(view.health.ready())
}

fn answer(report: HealthReport) -> Response {
    let status = if report.ok { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(report)).into_response()
}
