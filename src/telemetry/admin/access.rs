//! Who may change something through the admin address.
//!
//! # Invariants
//! - T1: with a token configured, nothing changes without it.
//! - T2: without one, something changes only from this host: the address must be a loopback address,
//!   and a web page of another origin cannot ask in somebody's name.
//! - T3: comparing tells nothing about the token but its length.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, PoisonError, RwLock};

use axum::http::header::{AUTHORIZATION, HOST, ORIGIN, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use secrecy::{ExposeSecret, SecretString};
use subtle::ConstantTimeEq;

/// Decides about requests that change something. Cloning shares the token.
#[derive(Debug, Clone)]
pub struct Access {
    listens_to_all: bool,
    token: Arc<RwLock<Option<SecretString>>>,
}

/// Why a request may not change anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Denied {
    /// No token, or another one.
    Token,
    /// A token would be needed and none is configured.
    NoneSet,
    /// A page of somebody else asks.
    Foreign,
}

// === impl Access ===

impl Access {
    pub(super) fn new(address: SocketAddr, token: Option<SecretString>) -> Self {
        let listens_to_all = !address.ip().is_loopback();
        Self { listens_to_all, token: Arc::new(RwLock::new(token)) }
    }

    /// Another token counts from now on.
    pub fn replace(&self, token: Option<SecretString>) {
        *self.token.write().unwrap_or_else(PoisonError::into_inner) = token;
    }

    pub(super) fn needs_token(&self) -> bool {
        self.token.read().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// Whether a request may change something.
    pub(super) fn check(&self, headers: &HeaderMap) -> Result<(), Denied> {
        let token = self.token.read().unwrap_or_else(PoisonError::into_inner);
        match &*token {
            Some(token) if bears(headers, token) => Ok(()),
            Some(_) => Err(Denied::Token),
            None if self.listens_to_all => Err(Denied::NoneSet),
            None if is_of_this_host(headers) => Ok(()),
            None => Err(Denied::Foreign),
        }
    }
}

fn bears(headers: &HeaderMap, token: &SecretString) -> bool {
    let given = headers.get(AUTHORIZATION).map(HeaderValue::as_bytes);
    let given = given.and_then(|value| value.strip_prefix(b"Bearer "));
    given.is_some_and(|given| bool::from(given.ct_eq(token.expose_secret().as_bytes())))
}

/// A browser names the page that asks; a name that only points here would be somebody else's.
fn is_of_this_host(headers: &HeaderMap) -> bool {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let Some(host) = text(HOST) else { return false };
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    let name = name.trim_start_matches('[').trim_end_matches(']');
    let is_local =
        name == "localhost" || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    let origin = text(ORIGIN);
    is_local
        && origin.is_none_or(|origin| origin.split_once("://").is_some_and(|(_, of)| of == host))
}

impl IntoResponse for Denied {
    fn into_response(self) -> Response {
        let (status, why) = match self {
            Self::Token => (
                StatusCode::UNAUTHORIZED,
                "give the token of `admin.token` as `Authorization: Bearer ...`\n",
            ),
            Self::NoneSet => (
                StatusCode::FORBIDDEN,
                "this address can be reached from elsewhere, so changing anything takes a token: \
                 set `admin.token`, or listen on a loopback address\n",
            ),
            Self::Foreign => {
                (StatusCode::FORBIDDEN, "only this host may change anything: set `admin.token`\n")
            }
        };
        let mut answer = (status, why).into_response();
        if self == Self::Token {
            let bearer = HeaderValue::from_static("Bearer");
            answer.headers_mut().insert(WWW_AUTHENTICATE, bearer);
        }
        answer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value)))
            .collect()
    }

    fn access(address: &str, token: Option<&str>) -> Access {
        Access::new(address.parse().unwrap(), token.map(SecretString::from))
    }

    #[test]
    fn a_token_is_wanted_wherever_it_is_set() {
        let access = access("127.0.0.1:1", Some("s3cret"));
        let host = ("host", "localhost:1");
        for wrong in ["s3cret", "Bearer s3cre", "Bearer s3cret2", "bearer s3cret", "Bearer "] {
            assert_eq!(
                access.check(&headers(&[host, ("authorization", wrong)])),
                Err(Denied::Token)
            );
        }
        assert_eq!(access.check(&headers(&[host])), Err(Denied::Token));
        assert_eq!(access.check(&headers(&[("authorization", "Bearer s3cret")])), Ok(()));
        access.replace(Some(SecretString::from("other")));
        assert!(access.check(&headers(&[("authorization", "Bearer s3cret")])).is_err());
        assert_eq!(access.check(&headers(&[("authorization", "Bearer other")])), Ok(()));
    }

    #[test]
    fn without_a_token_only_this_host_changes_anything() {
        let all = access("0.0.0.0:1", None);
        assert_eq!(all.check(&headers(&[("host", "localhost:1")])), Err(Denied::NoneSet));
        let own = access("127.0.0.1:9464", None);
        for host in ["localhost:9464", "127.0.0.1:9464", "[::1]:9464"] {
            assert_eq!(own.check(&headers(&[("host", host)])), Ok(()), "{host}");
        }
        let page = ("origin", "http://localhost:9464");
        assert_eq!(own.check(&headers(&[("host", "localhost:9464"), page])), Ok(()));
        for foreign in [
            &[("host", "evil.example:9464")][..],
            &[("host", "localhost:9464"), ("origin", "https://evil.example")],
            &[("host", "localhost:9464"), ("origin", "null")],
            &[],
        ] {
            assert_eq!(own.check(&headers(foreign)), Err(Denied::Foreign), "{foreign:?}");
        }
    }
}
