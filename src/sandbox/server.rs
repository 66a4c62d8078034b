//! Opens the sandbox's address and serves it until told to stop.
//!
//! Every connection belongs to `Sandbox::serve`: it returns when the last one is closed.
//!
//! Not here: what is served (`routes`).

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::serve::Listener;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::account::Account;
use super::line::{Line, LineListener};
use super::routes;
use super::settings::Settings;

/// How long requests in flight may take once the sandbox is told to stop. A sandbox is local, and a
/// client that is slower than this is stuck.
const GRACE: Duration = Duration::from_secs(1);

/// Why a sandbox could not be opened or went down.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// The address is taken.
    #[error(
        "{address} is already in use; stop the program that listens there, or choose another \
         address (port 0 takes a free one)"
    )]
    AddressInUse { address: SocketAddr, source: io::Error },
    /// The operating system does not give the address away.
    #[error("cannot listen on {address}; choose an address of this host and a port above 1023")]
    Listen { address: SocketAddr, source: io::Error },
    /// The listening socket failed.
    #[error("the sandbox stopped listening")]
    Serve(#[source] io::Error),
}

/// A LaunchDarkly stand-in that listens and is ready to be served.
pub struct Sandbox {
    address: SocketAddr,
    listener: LineListener,
    /// Cuts all connections.
    lines: CancellationToken,
    account: Arc<Account>,
}

// === impl Sandbox ===

impl Sandbox {
    /// Opens the address. Connections made from now on wait until `serve` is called.
    pub async fn bind(settings: Settings) -> Result<Self, SandboxError> {
        let address = settings.listen;
        let refused = |source: io::Error| {
            if source.kind() == io::ErrorKind::AddrInUse {
                SandboxError::AddressInUse { address, source }
            } else {
                SandboxError::Listen { address, source }
            }
        };
        let tcp = TcpListener::bind(address).await.map_err(refused)?;
        let lines = CancellationToken::new();
        let listener = LineListener::new(tcp, lines.clone());
        let address = Listener::local_addr(&listener).map_err(refused)?;
        Ok(Self { address, listener, lines, account: Arc::new(Account::new(settings)) })
    }

    /// Returns the address that is listened on, with the port that was given for port 0.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `shutdown` is cancelled and the requests in flight are answered or, a second
    /// later, cut.
    pub async fn serve(self, shutdown: CancellationToken) -> Result<(), SandboxError> {
        let Self { address, listener, lines, account } = self;
        let closing = account.closing.clone();
        let service = routes::router(account).into_make_service_with_connect_info::<Line>();
        let server = axum::serve(listener, service)
            .with_graceful_shutdown(shutdown.clone().cancelled_owned())
            .into_future();
        tokio::pin!(server);
        tracing::info!(%address, "sandbox listening");

        tokio::select! {
            ended = &mut server => return ended.map_err(SandboxError::Serve),
            () = shutdown.cancelled() => closing.cancel(),
        }
        tokio::select! {
            ended = &mut server => return ended.map_err(SandboxError::Serve),
            () = tokio::time::sleep(GRACE) => lines.cancel(),
        }
        server.await.map_err(SandboxError::Serve)
    }
}

impl fmt::Debug for Sandbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sandbox").field("address", &self.address).finish_non_exhaustive()
    }
}
