//! Bad peers on TCP and HTTP/1.1.

use crate::{
    Stage,
    bad_frames::{BadFrames, Wire},
    common::bytes,
    server::{MAX_HEADERS, SOCKET_BUFFER},
};
use std::{io, net::SocketAddr, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    time::timeout,
};

#[derive(Clone, Copy, Debug)]
pub(crate) enum Bad {
    Nothing,
    Garbage,
    HalfOfTheHandshake,
    /// As many as are allowed, and no end of them.
    StalledHeaders,
    /// 100 KiB.
    HugeHeader,
    /// A thousand, of 100 bytes each.
    ManyHeaders,
}

const HANDSHAKE: &str = "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

impl Bad {
    /// The server has to end the connection, without accepting anything.
    pub(crate) async fn run(self, address: SocketAddr, stage: Stage) {
        let mut tcp = connect(address).await;
        let bytes = match self {
            Self::Nothing => Vec::new(),
            Self::Garbage => bytes(1000),
            Self::HalfOfTheHandshake => HANDSHAKE[..HANDSHAKE.len() / 2].into(),
            Self::StalledHeaders => {
                format!("{HANDSHAKE}X: {}", "x".repeat(MAX_HEADERS - 1024)).into_bytes()
            }
            Self::HugeHeader => {
                format!("{HANDSHAKE}X: {}\r\n\r\n", "x".repeat(100 * 1024)).into_bytes()
            }
            Self::ManyHeaders => {
                format!("{HANDSHAKE}{}\r\n", format!("X: {}\r\n", "x".repeat(95)).repeat(1000))
                    .into_bytes()
            }
        };
        let answer = send_to_the_end(&mut tcp, &bytes).await;
        assert!(!answer.starts_with(b"HTTP/1.1 101"), "{self:?} was accepted");
        stage.hold().await;
    }
}

/// A handshake, and bad frames after it.
pub(crate) async fn upgraded(bad: BadFrames, address: SocketAddr, stage: Stage) {
    let mut tcp = connect(address).await;
    tcp.write_all(format!("{HANDSHAKE}\r\n").as_bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(tcp.read_u8().await.unwrap());
    }
    assert!(head.starts_with(b"HTTP/1.1 101"));
    bad.attack(&mut tcp).await;
    bad.check(&mut tcp).await;
    stage.hold().await;
}

/// With small buffers, so that what isn't read gets to be the server's concern soon.
pub(crate) async fn connect(address: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(SOCKET_BUFFER).unwrap();
    socket.set_send_buffer_size(SOCKET_BUFFER).unwrap();
    socket.set_nodelay(true).unwrap();
    socket.connect(address).await.unwrap()
}

/// Sends as much as the server takes, and reads until it ends the connection.
pub(crate) async fn send_to_the_end(tcp: &mut TcpStream, bytes: &[u8]) -> Vec<u8> {
    // The server may have seen enough before the end.
    let _sent = tcp.write_all(bytes).await;
    let mut answer = Vec::new();
    if let Err(error) = tcp.read_to_end(&mut answer).await {
        assert!(is_reset(&error), "{error}");
    }
    answer
}

/// The server was done with us before it had read everything.
fn is_reset(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe)
}

impl Wire for TcpStream {
    async fn send(&mut self, bytes: &[u8]) {
        self.write_all(bytes).await.unwrap();
    }

    async fn fill(&mut self, bytes: &[u8]) {
        // Far more than there is room for in the system's buffers and the server's.
        const TOO_MUCH: usize = 4 << 20;
        let mut sent = 0;
        // When there is no progress for a while, the server takes no more.
        while let Ok(n) =
            timeout(Duration::from_millis(300), self.write(&bytes[sent % bytes.len()..])).await
        {
            sent += n.unwrap();
            assert!(sent < TOO_MUCH, "the server takes what it can't get rid of");
        }
    }

    async fn receive(&mut self) -> Option<Vec<u8>> {
        let mut buffer = vec![0; 4096];
        match self.read(&mut buffer).await {
            Ok(0) => None,
            Ok(n) => {
                buffer.truncate(n);
                Some(buffer)
            }
            Err(error) if is_reset(&error) => None,
            Err(error) => panic!("{error}"),
        }
    }
}
