//! The user's own limit on requests per second. The only file that names the `governor` crate.

use std::num::NonZeroU32;
use std::sync::Arc;

use governor::{DefaultDirectRateLimiter, Quota};

/// Paces requests; shared by all that use the same credentials. Without a limit it never waits.
#[derive(Debug, Clone)]
pub struct RequestQuota {
    limiter: Option<Arc<DefaultDirectRateLimiter>>,
}

impl RequestQuota {
    /// Allows `per_second` requests a second, and as many at once after a pause.
    pub fn new(per_second: Option<NonZeroU32>) -> Self {
        let limiter = |n| Arc::new(DefaultDirectRateLimiter::direct(Quota::per_second(n)));
        Self { limiter: per_second.map(limiter) }
    }

    /// Waits until one more request is allowed. Cancel-safe: an abandoned wait uses nothing up.
    pub async fn admit(&self) {
        if let Some(limiter) = &self.limiter {
            limiter.until_ready().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    #[test]
    fn the_quota_is_used_up_and_no_limit_never_waits() {
        let limited = RequestQuota::new(NonZeroU32::new(2));
        assert!(limited.admit().now_or_never().is_some());
        assert!(limited.admit().now_or_never().is_some());
        assert!(limited.admit().now_or_never().is_none(), "the third has to wait");
        let free = RequestQuota::new(None);
        for _ in 0..1_000 {
            assert!(free.admit().now_or_never().is_some());
        }
    }
}
