//! A lane's seats: as many batches are under way at once. One that waits for a person leaves its seat
//! to the others.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// One of a lane's seats, taken or left.
#[derive(Debug)]
pub(super) struct Seat {
    seats: Arc<Semaphore>,
    taken: Option<OwnedSemaphorePermit>,
}

impl Seat {
    /// Waits for a seat; `None` when there will be none any more.
    pub(super) async fn take(seats: &Arc<Semaphore>) -> Option<Self> {
        let taken = Arc::clone(seats).acquire_owned().await.ok()?;
        Some(Self { seats: Arc::clone(seats), taken: Some(taken) })
    }

    pub(super) fn leave(&mut self) {
        self.taken = None;
    }

    /// Waits for a seat again.
    pub(super) async fn take_again(&mut self) {
        self.taken = Arc::clone(&self.seats).acquire_owned().await.ok();
    }
}
