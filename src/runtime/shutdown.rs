//! Turns the operating system's stop signals into a token.
//!
//! The first SIGTERM or SIGINT asks for a clean stop: intake ends, what is in flight is drained and
//! committed. The second one means now.

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// What a running service listens to.
#[derive(Debug, Clone, Default)]
pub struct Shutdown {
    /// Cancelled when the service is to drain and end.
    pub requested: CancellationToken,
    /// Cancelled when it is to end without draining.
    pub immediate: CancellationToken,
}

/// The installed handlers. From then on a signal no longer ends the process by itself.
#[derive(Debug)]
pub struct StopSignals {
    terminate: Signal,
    interrupt: Signal,
}

impl StopSignals {
    /// Installs the handlers; must be called within a runtime, and before anything that a signal
    /// should not cut short.
    ///
    /// # Errors
    /// When the operating system refuses.
    pub fn install() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// Passes the signals on until the second one.
    pub async fn listen(mut self, shutdown: Shutdown) {
        for token in [&shutdown.requested, &shutdown.immediate] {
            tokio::select! {
                _ = self.terminate.recv() => {}
                _ = self.interrupt.recv() => {}
            }
            tracing::info!(again = shutdown.requested.is_cancelled(), "stop signal received");
            token.cancel();
        }
    }
}

/// SIGHUP, which asks to read the configuration again. From then on it no longer ends the process.
#[derive(Debug)]
pub struct HangUps(Signal);

impl HangUps {
    /// Installs the handler; must be called within a runtime.
    ///
    /// # Errors
    /// When the operating system refuses.
    pub fn install() -> std::io::Result<Self> {
        signal(SignalKind::hangup()).map(Self)
    }

    /// Waits for the next one; for ever where none can be heard.
    pub async fn next(from: &mut Option<Self>) {
        let heard = match from {
            Some(Self(signal)) => signal.recv().await,
            None => None,
        };
        if heard.is_none() {
            std::future::pending::<()>().await;
        }
    }
}
