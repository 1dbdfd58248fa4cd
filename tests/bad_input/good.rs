//! Peers that mean well: each exchanges messages all the time, and opens another WebSocket now and
//! then.

use crate::{
    IN_TIME, common,
    http::{Stream, VERSIONS, Version},
};
use fastwebsockets_stream::{
    Windows,
    client::{Builder, Http2},
};
use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinSet,
    time::{sleep, timeout},
};

/// Over each version of HTTP.
const PEERS: usize = 10;

/// Messages on one WebSocket.
const MESSAGES: usize = 20;

#[derive(Default)]
struct Shared {
    stop: AtomicBool,
    /// Exchanges of each peer.
    exchanges: [AtomicUsize; 2 * PEERS],
}

pub(crate) struct Good {
    shared: Arc<Shared>,
    running: JoinSet<Duration>,
}

impl Good {
    pub(crate) async fn start(address: SocketAddr) -> Self {
        let tcp = TcpStream::connect(address).await.unwrap();
        let connection = Http2::handshake_with(tcp, Windows::MANY).await.unwrap();
        let shared = Arc::<Shared>::default();
        let mut running = JoinSet::new();
        for peer in 0..2 * PEERS {
            let version = VERSIONS[peer % 2];
            let (connection, shared) = (connection.clone(), Arc::clone(&shared));
            running
                .spawn(async move { exchange(address, version, connection, peer, shared).await });
        }
        Self { shared, running }
    }

    pub(crate) fn exchanges(&self) -> usize {
        self.shared.exchanges.iter().map(|count| count.load(Relaxed)).sum()
    }

    /// Waits until each has had the echo of a message that it sent after this call.
    pub(crate) async fn have_all_exchanged(&mut self) {
        let shared = Arc::clone(&self.shared);
        let now = || shared.exchanges.each_ref().map(|count| count.load(Relaxed));
        let before = now();
        timeout(IN_TIME, async {
            // The first may have been under way.
            while now().iter().zip(before).any(|(now, before)| *now < before + 2) {
                sleep(Duration::from_millis(1)).await;
                // None ends by itself; one that fails says why.
                if let Some(ended) = self.running.try_join_next() {
                    panic!("a good peer has ended: {ended:?}");
                }
            }
        })
        .await
        .expect("good peers that go on");
    }

    /// Returns the time of the slowest exchange, or of opening a WebSocket.
    pub(crate) async fn stop(self) -> Duration {
        self.shared.stop.store(true, Relaxed);
        let slowest = timeout(IN_TIME, self.running.join_all()).await.expect("good peers that end");
        slowest.into_iter().max().unwrap()
    }
}

async fn open(address: SocketAddr, version: Version, connection: &Http2) -> Stream {
    let builder = Builder::new(format!("ws://{address}/"));
    let opened = match version {
        Version::Http1 => builder.http1(TcpStream::connect(address).await.unwrap()).await,
        Version::Http2 => builder.http2(connection).await,
    };
    opened.unwrap().0
}

async fn exchange(
    address: SocketAddr,
    version: Version,
    connection: Http2,
    peer: usize,
    shared: Arc<Shared>,
) -> Duration {
    let mut slowest = Duration::ZERO;
    let block = common::bytes(4096);
    let mut at = peer;
    while !shared.stop.load(Relaxed) {
        let start = Instant::now();
        let mut stream = open(address, version, &connection).await;
        slowest = slowest.max(start.elapsed());
        for _ in 0..MESSAGES {
            let message = &block[at..at + 1000];
            at = (at + 7) % 3000;
            let start = Instant::now();
            stream.write_all(message).await.unwrap();
            stream.flush().await.unwrap();
            let mut received = vec![0; message.len()];
            stream.read_exact(&mut received).await.unwrap();
            assert!(received == message);
            slowest = slowest.max(start.elapsed());
            shared.exchanges[peer].fetch_add(1, Relaxed);
        }
        stream.close(1000, "").await.unwrap();
    }
    slowest
}
