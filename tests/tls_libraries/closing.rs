//! How a stream over a library ends, and with it TLS.

use crate::{
    LINE, Stream,
    common::{
        bytes,
        frames::{CLOSE, close_payload},
    },
    everywhere,
    libraries::{Library, libraries},
    open, task,
};
use fastwebsockets_stream::{PayloadType, WebSocketStream, fastwebsockets::Role};
use std::io::ErrorKind;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// What was written before the end, and is read at it.
const SIZES: [usize; 2] = [0, 400_000];

fn other(role: Role) -> Role {
    match role {
        Role::Client => Role::Server,
        Role::Server => Role::Client,
    }
}

/// Both ends are streams; the first is of `role`.
async fn pair(library: Library, role: Role) -> (Stream, Stream) {
    let (one, two) = library.connect(role, LINE).await;
    (
        WebSocketStream::after_handshake(one, role, PayloadType::Binary),
        WebSocketStream::after_handshake(two, other(role), PayloadType::Binary),
    )
}

#[tokio::test(start_paused = true)]
async fn both_ends_close_at_once() {
    everywhere(&libraries(), &SIZES, async |library, role, size| {
        let (mut one, mut two) = pair(library, role).await;
        let closing = task(async move {
            two.close(1000, "").await.unwrap();
            two
        });
        // A write that waits learns of the Close: the other end drops what comes.
        if let Err(error) = one.write_all(&bytes(size)).await {
            assert_eq!(error.kind(), ErrorKind::BrokenPipe);
        }
        one.close(1000, "").await.unwrap();
        let two = closing.await.unwrap();
        assert!(one.is_closed() && two.is_closed());
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn one_end_closes_and_the_other_reads_to_the_end() {
    everywhere(&libraries(), &SIZES, async |library, role, size| {
        let (mut one, mut two) = pair(library, role).await;
        let reading = task(async move {
            let mut received = Vec::new();
            two.read_to_end(&mut received).await.unwrap();
            two.shutdown().await.unwrap();
            received
        });
        one.write_all(&bytes(size)).await.unwrap();
        one.close(1000, "").await.unwrap();
        assert!(reading.await.unwrap() == bytes(size));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn both_ends_shut_down_and_read_to_the_end() {
    everywhere(&libraries(), &[0, 1000, 20_000], async |library, role, size| {
        let (one, two) = pair(library, role).await;
        let end = async move |mut stream: Stream| {
            stream.write_all(&bytes(size)).await.unwrap();
            stream.shutdown().await.unwrap();
            let mut received = Vec::new();
            stream.read_to_end(&mut received).await.unwrap();
            assert!(received == bytes(size));
            stream
        };
        let two = task(async move { end(two).await });
        let one = task(async move { end(one).await });
        let (one, two) = (one.await.unwrap(), two.await.unwrap());
        assert!(one.is_closed() && two.is_closed());
    })
    .await;
}

/// A connection that is cut off ends as well; TLS says which of the two it was.
#[tokio::test(start_paused = true)]
async fn tls_ends_after_the_closing_handshake_without_an_error() {
    everywhere(&libraries(), &SIZES, async |library, role, size| {
        let (mut stream, mut peer) = open(library, role, LINE, PayloadType::Binary).await;
        let reading = task(async move {
            peer.read_to(CLOSE).await;
            peer.send(CLOSE, &close_payload(1000, "")).await;
            // The end of the file, rather than an error.
            assert_eq!(peer.read_some(100).await, 0);
            peer.io.shutdown().await.unwrap();
            peer
        });
        stream.write_all(&bytes(size)).await.unwrap();
        stream.close(1000, "").await.unwrap();
        assert!(reading.await.unwrap().payload() == bytes(size));
    })
    .await;
}
