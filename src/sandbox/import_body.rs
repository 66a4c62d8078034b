//! Takes an import's body off the wire and unpacks it, within bounds.
//!
//! # Invariants
//! - B1: never more than the largest accepted body is held, whatever the client sends: neither a
//!   body without end nor a small one that unpacks into a large one.
//! - B2: a body of exactly the limit is accepted.
//!
//! A body that is too large is still read for a while and thrown away. A server that answers and
//! closes while the client is writing resets the connection, and the client may never see the 413.
//!
//! Not here: what the body says (`event_check`).

use std::io::Read;

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use flate2::read::MultiGzDecoder;
use futures_util::StreamExt;

use super::refusal::Refusal;

/// How many times the limit is read before an oversized upload is no longer listened to.
const PATIENCE: usize = 8;

/// What came over the wire.
#[derive(Debug, Default)]
pub(super) struct Wire {
    /// Empty if `refusal` is set.
    bytes: Vec<u8>,
    /// How many bytes arrived, those thrown away included.
    pub(super) received: usize,
    refusal: Option<Refusal>,
}

/// How a body is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Packing {
    Plain,
    Gzip,
}

// === impl Wire ===

impl Wire {
    /// Reads a body to its end, or until it is past all patience.
    pub(super) async fn read(body: Body, headers: &HeaderMap, max_bytes: usize) -> Self {
        let announced = content_length(headers).unwrap_or(0).min(max_bytes);
        let mut wire = Self { bytes: Vec::with_capacity(announced), ..Self::default() };
        let mut chunks = body.into_data_stream();
        while let Some(chunk) = chunks.next().await {
            match chunk {
                Ok(chunk) => wire.take(&chunk, max_bytes),
                Err(error) => {
                    let refusal = Refusal::bad_request(format!("the body ends early: {error}"));
                    wire.refuse(refusal);
                    break;
                }
            }
            if wire.received > max_bytes.saturating_mul(PATIENCE) {
                break;
            }
        }
        wire
    }

    fn take(&mut self, chunk: &[u8], max_bytes: usize) {
        self.received = self.received.saturating_add(chunk.len());
        if self.received > max_bytes {
            self.refuse(too_large(max_bytes));
        } else {
            self.bytes.extend_from_slice(chunk);
        }
    }

    fn refuse(&mut self, refusal: Refusal) {
        self.bytes = Vec::new();
        self.refusal = Some(refusal);
    }

    /// Unpacks the body.
    ///
    /// # Errors
    /// 413 if it is too large in either form, 400 if it cannot be unpacked.
    pub(super) fn unpack(self, packing: Packing, max_bytes: usize) -> Result<Vec<u8>, Refusal> {
        match (self.refusal, packing) {
            (Some(refusal), _) => Err(refusal),
            (None, Packing::Plain) => Ok(self.bytes),
            (None, Packing::Gzip) => gunzip(&self.bytes, max_bytes),
        }
    }
}

/// Reads `Content-Encoding`.
///
/// # Errors
/// 415 for anything but gzip: the documentation names no other.
pub(super) fn packing(headers: &HeaderMap) -> Result<Packing, Refusal> {
    match headers.get(header::CONTENT_ENCODING).map(HeaderValue::as_bytes) {
        None | Some(b"identity") => Ok(Packing::Plain),
        Some(b"gzip") => Ok(Packing::Gzip),
        Some(_) => Err(Refusal::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "Content-Encoding must be gzip, or absent for a plain body",
        )),
    }
}

pub(super) fn content_length(headers: &HeaderMap) -> Option<usize> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

fn gunzip(packed: &[u8], max_bytes: usize) -> Result<Vec<u8>, Refusal> {
    // One byte more than allowed tells too large from just fitting.
    let bound = u64::try_from(max_bytes).unwrap_or(u64::MAX).saturating_add(1);
    let mut plain = Vec::with_capacity(packed.len().saturating_mul(4).min(max_bytes));
    MultiGzDecoder::new(packed)
        .take(bound)
        .read_to_end(&mut plain)
        .map_err(|error| Refusal::bad_request(format!("the body is not gzip: {error}")))?;
    if plain.len() > max_bytes {
        return Err(too_large(max_bytes));
    }
    plain.shrink_to_fit();
    Ok(plain)
}

fn too_large(max_bytes: usize) -> Refusal {
    Refusal::new(
        StatusCode::PAYLOAD_TOO_LARGE,
        format!("the body is larger than {max_bytes} bytes uncompressed; send fewer events"),
    )
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    fn gzip(plain: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(plain).expect("in memory");
        encoder.finish().expect("in memory")
    }

    async fn receive(bytes: Vec<u8>, packing: Packing, max: usize) -> Result<Vec<u8>, StatusCode> {
        let wire = Wire::read(Body::from(bytes), &HeaderMap::new(), max).await;
        wire.unpack(packing, max).map_err(|refusal| refusal.status)
    }

    #[tokio::test]
    async fn the_limit_itself_is_accepted_b2() {
        for (length, accepted) in [(99, true), (100, true), (101, false)] {
            let plain = receive(vec![b'a'; length], Packing::Plain, 100).await;
            assert_eq!(plain.is_ok(), accepted, "plain {length}");
            let packed = receive(gzip(&vec![b'a'; length]), Packing::Gzip, 100).await;
            assert_eq!(packed.is_ok(), accepted, "gzip {length}");
        }
    }

    #[tokio::test]
    async fn a_bomb_is_refused_without_unpacking_it_b1() {
        let bomb = gzip(&vec![b' '; 4_000_000]);
        assert!(bomb.len() < 100_000);
        let refused = receive(bomb, Packing::Gzip, 100_000).await;
        assert_eq!(refused, Err(StatusCode::PAYLOAD_TOO_LARGE));
    }

    #[tokio::test]
    async fn an_endless_body_is_given_up_b1() {
        let chunk = axum::body::Bytes::from_static(&[b' '; 1000]);
        let endless = futures_util::stream::repeat_with(move || Ok::<_, Infallible>(chunk.clone()));
        let wire = Wire::read(Body::from_stream(endless), &HeaderMap::new(), 5000).await;
        assert!(wire.bytes.is_empty());
        let refused = wire.unpack(Packing::Plain, 5000).map_err(|refusal| refusal.status);
        assert_eq!(refused, Err(StatusCode::PAYLOAD_TOO_LARGE));
    }

    #[tokio::test]
    async fn what_is_not_gzip_is_refused() {
        let refused = receive(b"[]".to_vec(), Packing::Gzip, 100).await;
        assert_eq!(refused, Err(StatusCode::BAD_REQUEST));
        let mut cut_short = gzip(b"[1,2,3]");
        cut_short.truncate(12);
        let refused = receive(cut_short, Packing::Gzip, 100).await;
        assert_eq!(refused, Err(StatusCode::BAD_REQUEST));
    }
}
