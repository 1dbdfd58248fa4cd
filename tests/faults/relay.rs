//! A TCP proxy that can do what networks do.

use std::net::SocketAddr;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{ReadHalf, WriteHalf},
    },
    sync::watch,
    task::JoinSet,
};

#[derive(Clone, Copy, PartialEq)]
enum Mode {
    Forward,
    /// Nothing gets through any more, not even the end: the connection is half-open.
    Swallow,
    /// Both connections are reset.
    Reset,
}

/// Stops with its value: its connections end then, in good order.
pub(crate) struct Relay {
    pub(crate) address: SocketAddr,
    mode: watch::Sender<Mode>,
    accepting: JoinSet<()>,
}

impl Relay {
    pub(crate) async fn start(to: SocketAddr) -> Self {
        Self::listen(SocketAddr::from(([127, 0, 0, 1], 0)), to).await
    }

    pub(crate) async fn listen(at: SocketAddr, to: SocketAddr) -> Self {
        let listener = TcpListener::bind(at).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (mode, modes) = watch::channel(Mode::Forward);
        let mut accepting = JoinSet::new();
        accepting.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (from, _) = listener.accept().await.unwrap();
                connections.spawn(relay(from, to, modes.clone()));
            }
        });
        Self { address, mode, accepting }
    }

    pub(crate) fn swallow(&self) {
        self.mode.send_replace(Mode::Swallow);
    }

    pub(crate) fn reset(&self) {
        self.mode.send_replace(Mode::Reset);
    }

    /// Stops, and returns once the port is free again.
    pub(crate) async fn stop(mut self) {
        self.accepting.shutdown().await;
    }
}

async fn relay(mut from: TcpStream, to: SocketAddr, mut modes: watch::Receiver<Mode>) {
    let mut to = TcpStream::connect(to).await.unwrap();
    let reset = {
        let (reads, writes) = from.split();
        let (their_reads, their_writes) = to.split();
        let both = async {
            tokio::join!(
                copy(reads, their_writes, modes.clone()),
                copy(their_reads, writes, modes.clone())
            )
        };
        let mut resets = modes.clone();
        tokio::select! {
            _ = both => false,
            _ = resets.wait_for(|mode| *mode == Mode::Reset) => true,
        }
    };
    if *modes.borrow_and_update() == Mode::Swallow {
        let _reset = modes.wait_for(|mode| *mode == Mode::Reset).await;
    }
    if reset {
        from.set_zero_linger().unwrap();
        to.set_zero_linger().unwrap();
    }
}

async fn copy(mut reads: ReadHalf<'_>, mut writes: WriteHalf<'_>, modes: watch::Receiver<Mode>) {
    let mut buffer = vec![0; 20_000];
    while let Ok(n) = reads.read(&mut buffer).await {
        if *modes.borrow() != Mode::Forward {
            if n == 0 {
                return;
            }
        } else if n == 0 || writes.write_all(&buffer[..n]).await.is_err() {
            let _ended = writes.shutdown().await;
            return;
        }
    }
}
