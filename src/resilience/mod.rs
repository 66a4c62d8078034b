//! How we behave towards a server that is slow, busy or refusing.
//!
//! Policies compute and callers sleep, except for the quota and the gate, which exist to be waited
//! for.

pub mod gate;
pub mod quota;
pub mod retry;
