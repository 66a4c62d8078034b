//! Connections that a handler can cut.
//!
//! A client has to cope with a connection that dies after its request was taken. An HTTP handler can
//! only answer, so each connection is wrapped: once cut, reading and writing fail, the HTTP server
//! gives the connection up, and the socket closes before a byte of an answer has left.
//!
//! # Invariants
//! - N1: after `Line::cut`, nothing more reaches the client but the end of the connection.
//!
//! Not here: when to cut (`faults`, `reception`).

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

/// One connection, as a handler sees it.
#[derive(Debug, Clone)]
pub(super) struct Line(CancellationToken);

/// Accepts connections that can be cut, one by one or all together.
#[derive(Debug)]
pub(super) struct LineListener {
    tcp: TcpListener,
    all: CancellationToken,
}

/// The connection itself.
#[derive(Debug)]
pub(super) struct CuttableStream {
    tcp: TcpStream,
    line: Line,
    /// Wakes a read that waits while the line is cut.
    cut: Pin<Box<WaitForCancellationFutureOwned>>,
}

// === impl Line ===

impl Line {
    pub(super) fn cut(&self) {
        self.0.cancel();
    }
}

impl Connected<IncomingStream<'_, LineListener>> for Line {
    fn connect_info(stream: IncomingStream<'_, LineListener>) -> Self {
        stream.io().line.clone()
    }
}

// === impl LineListener ===

impl LineListener {
    /// Cancelling `all` cuts every line, those to come included.
    pub(super) fn new(tcp: TcpListener, all: CancellationToken) -> Self {
        Self { tcp, all }
    }
}

impl Listener for LineListener {
    type Io = CuttableStream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (CuttableStream, SocketAddr) {
        let (tcp, peer) = Listener::accept(&mut self.tcp).await;
        // Answers are small: waiting to fill a packet would only measure Nagle's algorithm.
        if let Err(error) = tcp.set_nodelay(true) {
            tracing::debug!(%error, "connection keeps nagle's algorithm");
        }
        let line = Line(self.all.child_token());
        let cut = Box::pin(line.0.clone().cancelled_owned());
        (CuttableStream { tcp, line, cut }, peer)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.tcp.local_addr()
    }
}

// === impl CuttableStream ===

impl CuttableStream {
    fn ensure_whole(&self) -> io::Result<()> {
        if self.line.0.is_cancelled() { Err(cut_error()) } else { Ok(()) }
    }
}

fn cut_error() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionAborted, "cut by the sandbox")
}

impl AsyncRead for CuttableStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.cut.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Err(cut_error()));
        }
        Pin::new(&mut self.tcp).poll_read(cx, buffer)
    }
}

impl AsyncWrite for CuttableStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.ensure_whole()?;
        Pin::new(&mut self.tcp).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.ensure_whole()?;
        Pin::new(&mut self.tcp).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.tcp.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.ensure_whole()?;
        Pin::new(&mut self.tcp).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_shutdown(cx)
    }
}
