//! Turns the operating system's stop signals into a token.
//!
//! The first SIGTERM or SIGINT asks for a clean stop: intake ends, what is in flight is drained and
//! committed. The second one means now.

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// What a running service listens to.
#[derive(Debug, Clone, Default)]
pub struct Shutdown {
    /// Cancelled when the service is to drain and end.
    pub requested: CancellationToken,
    /// Cancelled when it is to end without draining.
    pub immediate: CancellationToken,
}

impl Shutdown {
    /// Listens to the signals until the second one.
    ///
    /// # Errors
    /// When the operating system refuses the handlers.
    pub async fn listen(self) -> std::io::Result<()> {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        for token in [&self.requested, &self.immediate] {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            tracing::info!(again = self.requested.is_cancelled(), "stop signal received");
            token.cancel();
        }
        Ok(())
    }
}
