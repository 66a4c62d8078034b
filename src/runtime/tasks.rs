//! A set of named tasks and threads that ends together.
//!
//! # Invariants
//! - K1: a panic in any member cancels the set's token and is reported by [`TaskSet::join`].
//! - K2: `join` returns only when every member has ended.

use std::fmt;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Owns tasks. Clones share the set.
#[derive(Debug, Clone)]
pub struct TaskSet {
    tracker: TaskTracker,
    failed: CancellationToken,
    failures: Arc<Mutex<Vec<TaskFailure>>>,
}

/// A member that panicked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct TaskFailure {
    pub task: &'static str,
    pub message: String,
}

impl fmt::Display for TaskFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the task `{}` panicked: {}", self.task, self.message)
    }
}

impl TaskSet {
    /// Makes an empty set that cancels `failed` when a member panics.
    pub fn new(failed: CancellationToken) -> Self {
        Self { tracker: TaskTracker::new(), failed, failures: Arc::default() }
    }

    /// Starts a task.
    pub fn spawn(&self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        let set = self.clone();
        let handle = tokio::task::JoinSet::from_iter([task]);
        self.tracker.spawn(async move {
            // A set of one: a panic arrives as an error, and a cancelled owner takes it along.
            let mut handle = handle;
            while let Some(ended) = handle.join_next().await {
                if let Err(error) = ended {
                    set.report(name, &error);
                }
            }
        });
    }

    /// Starts a thread for code that blocks.
    pub fn spawn_blocking(&self, name: &'static str, work: impl FnOnce() + Send + 'static) {
        let set = self.clone();
        let handle = self.tracker.spawn_blocking(work);
        self.tracker.spawn(async move {
            if let Err(error) = handle.await {
                set.report(name, &error);
            }
        });
    }

    fn report(&self, task: &'static str, error: &tokio::task::JoinError) {
        if !error.is_panic() {
            return;
        }
        let failure = TaskFailure { task, message: error.to_string() };
        tracing::error!(task, error = %failure, "a task panicked; stopping");
        self.failures.lock().unwrap_or_else(PoisonError::into_inner).push(failure);
        self.failed.cancel();
    }

    /// Waits until every member has ended, and gives the panics.
    pub async fn join(&self) -> Vec<TaskFailure> {
        self.tracker.close();
        self.tracker.wait().await;
        std::mem::take(&mut *self.failures.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_cancels_the_set_and_is_reported() {
        let failed = CancellationToken::new();
        let set = TaskSet::new(failed.clone());
        let others = failed.clone();
        set.spawn("worker", async move { others.cancelled().await });
        set.spawn("broken", async { panic!("out of cheese") });
        let failures = set.join().await;
        assert!(failed.is_cancelled());
        assert_eq!(failures.len(), 1);
        assert_eq!(failures[0].task, "broken");
        assert!(failures[0].to_string().contains("out of cheese"), "{}", failures[0]);
    }

    #[tokio::test]
    async fn blocking_work_is_waited_for_and_its_panic_seen() {
        let set = TaskSet::new(CancellationToken::new());
        set.spawn_blocking("thread", || panic!("stuck"));
        assert_eq!(set.join().await.len(), 1);
    }
}
