//! A TCP proxy on loopback whose network can be made bad: cut, silent, slow or narrow.
//!
//! What passes is never changed, only kept or lost with its connection, as a network does.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// What the network does, to connections that exist and to new ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Network {
    Good,
    /// Connections are closed, and new ones as soon as they are made.
    Cut,
    /// Nothing passes and nothing closes.
    Silent,
    /// Everything comes so much later.
    Slow(Duration),
    /// At most so many bytes per second and direction.
    Narrow(u32),
}

/// A running proxy. Ends on drop, with its connections.
#[derive(Debug)]
pub(crate) struct Proxy {
    address: SocketAddr,
    network: watch::Sender<Network>,
    _tasks: JoinSet<()>,
}

/// Small enough that a narrow network is even.
const CHUNK: usize = 16 * 1024;

impl Proxy {
    /// Starts a proxy on a free port, before `upstream`.
    pub(crate) async fn start(upstream: SocketAddr) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("loopback has free ports");
        Self::serve(listener, upstream)
    }

    /// Starts a proxy on `port`, before `upstream`.
    pub(crate) async fn start_on(port: u16, upstream: SocketAddr) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", port)).await.expect("the port is leased");
        Self::serve(listener, upstream)
    }

    fn serve(listener: TcpListener, upstream: SocketAddr) -> Self {
        let address = listener.local_addr().expect("it is bound");
        let (network, state) = watch::channel(Network::Good);
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, upstream, state));
        Self { address, network, _tasks: tasks }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Changes the network for everything that passes from now on.
    pub(crate) fn set(&self, network: Network) {
        self.network.send_replace(network);
    }
}

async fn accept(listener: TcpListener, upstream: SocketAddr, network: watch::Receiver<Network>) {
    let mut connections = JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        while connections.try_join_next().is_some() {}
        if *network.borrow() != Network::Cut {
            connections.spawn(connect(client, upstream, network.clone()));
        }
    }
}

/// Carries one connection until either side closes it, or the network is cut.
async fn connect(client: TcpStream, upstream: SocketAddr, mut network: watch::Receiver<Network>) {
    let Ok(server) = TcpStream::connect(upstream).await else { return };
    let ((from_client, to_client), (from_server, to_server)) =
        (client.into_split(), server.into_split());
    let (there, back) = (network.clone(), network.clone());
    tokio::select! {
        () = pump(from_client, to_server, there) => {}
        () = pump(from_server, to_client, back) => {}
        _ = network.wait_for(|network| *network == Network::Cut) => {}
    }
}

async fn pump(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut network: watch::Receiver<Network>,
) {
    let mut chunk = vec![0; CHUNK];
    while let Ok(read) = from.read(&mut chunk).await {
        if read == 0 || network.wait_for(|network| *network != Network::Silent).await.is_err() {
            break;
        }
        let now = *network.borrow();
        let pause = match now {
            Network::Slow(pause) => pause,
            Network::Narrow(rate) => Duration::from_secs(read as u64) / rate,
            Network::Good | Network::Cut | Network::Silent => Duration::ZERO,
        };
        if !pause.is_zero() {
            tokio::time::sleep(pause).await;
        }
        if to.write_all(&chunk[..read]).await.is_err() {
            break;
        }
    }
}
