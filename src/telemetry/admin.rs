//! The admin address: `/metrics`, `/live`, `/ready`.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::health::{Health, HealthReport};
use super::metrics::Metrics;
use super::settings::AdminSettings;

/// A bound, not yet serving admin address.
#[derive(Debug)]
pub struct Admin {
    listener: TcpListener,
    address: SocketAddr,
    view: View,
}

/// What the endpoints read.
#[derive(Debug, Clone)]
struct View {
    health: Arc<Health>,
    metrics: Metrics,
}

/// The admin address cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address} for the admin endpoints; set `admin.listen` to a free address")]
pub struct AdminError {
    address: SocketAddr,
    #[source]
    source: std::io::Error,
}

const INDEX: &str = "ldsink\n\n/metrics  Prometheus metrics\n/live     200 while the consumer \
                     loop turns\n/ready    200 while records can flow, else 503 with the reasons\n";

impl Admin {
    pub async fn bind(
        settings: AdminSettings,
        health: Arc<Health>,
        metrics: Metrics,
    ) -> Result<Self, AdminError> {
        let failed = |source| AdminError { address: settings.listen, source };
        let listener = TcpListener::bind(settings.listen).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        Ok(Self { listener, address, view: View { health, metrics } })
    }

    /// Where it listens; tells the port when `:0` was asked for.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `stop` is cancelled.
    pub async fn serve(self, stop: CancellationToken) {
        let router = Router::new()
            .route("/", get(|| async { INDEX }))
            .route("/metrics", get(metrics))
            .route(
                "/live",
                get(|State(view): State<View>| async move { answer(view.health.live()) }),
            )
            .route(
                "/ready",
                get(|State(view): State<View>| async move { answer(view.health.ready()) }),
            )
            .with_state(self.view);
        let serving = axum::serve(self.listener, router)
            .with_graceful_shutdown(async move { stop.cancelled().await });
        if let Err(error) = serving.await {
            tracing::error!(%error, "the admin endpoints ended");
        }
    }
}

async fn metrics(State(view): State<View>) -> Response {
    match view.metrics.render() {
        Ok(text) => ([(CONTENT_TYPE, "text/plain; version=0.0.4")], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

fn answer(report: HealthReport) -> Response {
    let status = if report.ok { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(report)).into_response()
}
