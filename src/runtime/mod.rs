//! Owned tasks and a shared way to stop them.
//!
//! Nothing in this service runs detached: every task has a name and an owner, and a task that
//! panics or ends when it should not takes the service down visibly instead of leaving a part of it
//! dead.

pub mod failpoint;
pub mod shutdown;
pub mod tasks;
