//! An HTTP server that is not LaunchDarkly: a proxy's welcome page, an echo of what was asked.

use axum::Router;
use axum::http::HeaderMap;
use axum::response::Response;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// A running server that answers every request the same way. Ends on drop.
#[derive(Debug)]
pub(crate) struct Stranger {
    base: String,
    _serving: JoinSet<()>,
}

impl Stranger {
    /// Starts a server that answers whatever it is asked with `answer`.
    pub(crate) async fn start(
        answer: impl Fn(&HeaderMap) -> Response + Clone + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new().fallback(async move |headers: HeaderMap| answer(&headers));
        let mut serving = JoinSet::new();
        serving.spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { base, _serving: serving }
    }

    pub(crate) fn url(&self) -> &str {
        &self.base
    }
}
