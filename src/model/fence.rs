//! What ends with the assignment of a partition: the right to send on its behalf.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio_util::sync::CancellationToken;

/// Falls when an assignment ends: from then on nothing may be sent on its behalf, because somebody
/// else now reads the same records.
#[derive(Debug, Clone, Default)]
pub struct Fence {
    fallen: CancellationToken,
    waiting: Arc<Mutex<Waiting>>,
}

/// What nobody works on.
#[derive(Debug, Default)]
struct Waiting {
    obligations: usize,
    /// The assignment is about to end, so it stays as it is.
    closed: bool,
}

/// Obligations that nobody works on; see [`Fence::withhold`].
#[derive(Debug)]
pub struct Withheld {
    of: Fence,
    obligations: usize,
}

// === impl Fence ===

impl Fence {
    pub fn fall(&self) {
        self.fallen.cancel();
    }

    pub fn has_fallen(&self) -> bool {
        self.fallen.is_cancelled()
    }

    /// Waits until it falls.
    pub async fn fallen(&self) {
        self.fallen.cancelled().await;
    }

    /// Counts obligations of the assignment that wait for a person, until the answer is released or
    /// dropped: there is no point in draining them.
    pub fn withhold(&self, obligations: usize) -> Withheld {
        self.lock().obligations += obligations;
        Withheld { of: self.clone(), obligations }
    }

    /// How many there are.
    pub fn withheld(&self) -> usize {
        self.lock().obligations
    }

    /// Leaves what is withheld to the next owner: of work that began now, the last commit of this
    /// assignment would not know.
    pub fn close(&self) {
        self.lock().closed = true;
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Withheld ===

impl Withheld {
    /// Lets work on all of these begin; gives them back when an assignment among them is about to end.
    ///
    /// # Errors
    /// They stay withheld.
    pub fn release(mut all: Vec<Self>) -> Result<(), Vec<Self>> {
        let counts: Vec<usize> = all.iter().map(|one| one.obligations).collect();
        if all.iter_mut().all(Self::leave) {
            return Ok(());
        }
        for (one, count) in all.iter_mut().zip(counts) {
            one.of.lock().obligations += count - one.obligations;
            one.obligations = count;
        }
        Err(all)
    }

    /// Gives whether it could.
    fn leave(&mut self) -> bool {
        let mut waiting = self.of.lock();
        if !waiting.closed {
            waiting.obligations -= std::mem::take(&mut self.obligations);
        }
        !waiting.closed
    }
}

impl Drop for Withheld {
    fn drop(&mut self) {
        self.of.lock().obligations -= self.obligations;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_withheld_is_released_together_or_not_at_all() {
        let (first, second) = (Fence::default(), Fence::default());
        let both = || vec![first.withhold(2), second.withhold(3)];
        let counts = || (first.withheld(), second.withheld());
        Withheld::release(both()).unwrap();
        assert_eq!(counts(), (0, 0));
        second.close();
        let kept = Withheld::release(both()).unwrap_err();
        assert_eq!(counts(), (2, 3), "the second is about to end");
        drop(kept);
        assert_eq!(counts(), (0, 0));
    }
}
