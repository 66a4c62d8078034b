//! The access token of a target, which may be replaced while requests are made.
//!
//! # Invariants
//! - W1: a request is signed with one token, and what its answer says is shown without that one.

use std::sync::{Arc, PoisonError, RwLock};

use reqwest::header::HeaderValue;
use secrecy::SecretString;

use super::http;
use super::settings::{ClientError, TargetSettings};

/// A token that counts from the next request on. Clones share it.
#[derive(Debug, Clone)]
pub struct LiveToken(Arc<RwLock<Arc<Signature>>>);

/// What a request is signed with.
#[derive(Debug)]
pub(super) struct Signature {
    pub(super) token: SecretString,
    /// The raw token, without `Bearer`.
    pub(super) authorization: HeaderValue,
}

impl LiveToken {
    pub(super) fn of(target: &TargetSettings) -> Result<Self, ClientError> {
        Ok(Self(Arc::new(RwLock::new(Signature::of(target)?))))
    }

    pub(super) fn current(&self) -> Arc<Signature> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Makes the target's token the one that counts.
    ///
    /// # Errors
    /// It cannot be sent; the one before counts still.
    pub fn replace(&self, target: &TargetSettings) -> Result<(), ClientError> {
        let signature = Signature::of(target)?;
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = signature;
        Ok(())
    }

    /// Whether no client uses it any more.
    pub fn is_forgotten(&self) -> bool {
        Arc::strong_count(&self.0) == 1
    }
}

impl Signature {
    fn of(target: &TargetSettings) -> Result<Arc<Self>, ClientError> {
        let (token, authorization) = (target.access_token.clone(), http::authorization(target)?);
        Ok(Arc::new(Self { token, authorization }))
    }
}
