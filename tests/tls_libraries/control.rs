//! A stream that is only read answers the peer, though its own payload fills the line.

use crate::{
    LINE, Stream,
    common::{
        self,
        frames::{BINARY, CLOSE, PING, PONG, close_payload},
    },
    everywhere, fill,
    libraries::libraries,
    open, task,
};
use fastwebsockets_stream::{Config, PayloadType, WebSocketStream, fastwebsockets::Role};
use std::time::Duration;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, split},
    task::yield_now,
    time::sleep,
};

const INTERVAL: Duration = Duration::from_secs(30);
const TIMEOUT: Duration = Duration::from_secs(10);

/// What is written before: so much that the stream takes no more, or this many bytes, of which the
/// last are in the library or in the stream.
const WRITTEN: [Option<usize>; 4] = [None, Some(33_000), Some(40_000), Some(60_000)];

/// Writes without a flush; returns what was accepted.
async fn write(stream: &mut Stream, bytes: Option<usize>) -> Vec<u8> {
    let Some(bytes) = bytes else {
        return fill(stream).await;
    };
    let payload = common::bytes(bytes);
    stream.write_all(&payload).await.unwrap();
    payload
}

#[tokio::test(start_paused = true)]
async fn a_pong_leaves_a_full_line_while_the_stream_is_only_read() {
    everywhere(&libraries(), &WRITTEN, async |library, role, bytes| {
        let (mut stream, mut peer) = open(library, role, LINE, PayloadType::Binary).await;
        let written = write(&mut stream, bytes).await;
        peer.send(PING, b"there?").await;
        let size = written.len();
        let peer = task(async move {
            peer.read_to(PONG).await;
            peer.read_payload(size).await;
            peer.send(BINARY, b"x").await;
            peer
        });
        // Polled before the peer, which reads only then.
        assert_eq!(stream.read_u8().await.unwrap(), b'x');
        let peer = peer.await.unwrap();
        assert!(peer.payload() == written);
        assert_eq!(peer.all(PONG), [b"there?"]);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_ping_of_keep_alive_leaves_a_full_line_while_the_stream_is_only_read() {
    everywhere(&libraries(), &WRITTEN, async |library, role, bytes| {
        let config = Config::new().keep_alive(INTERVAL, TIMEOUT);
        let (mut stream, mut peer) = open(library, role, LINE, config).await;
        let written = write(&mut stream, bytes).await;
        let peer = task(async move {
            // The ping is queued first.
            sleep(INTERVAL + TIMEOUT / 2).await;
            for n in 1..=3 {
                peer.read_until(|frames| frames.iter().filter(|f| f.opcode == PING).count() >= n)
                    .await;
                peer.send(PONG, b"").await;
            }
            peer.send(BINARY, b"x").await;
            peer
        });
        assert_eq!(stream.read_u8().await.unwrap(), b'x');
        let peer = peer.await.unwrap();
        assert!(peer.payload() == written);
        assert_eq!(peer.all(PING).len(), 3);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn the_answer_to_a_close_leaves_a_full_line_while_the_stream_is_only_read() {
    everywhere(&libraries(), &WRITTEN, async |library, role, bytes| {
        let (mut stream, mut peer) = open(library, role, LINE, PayloadType::Binary).await;
        let written = write(&mut stream, bytes).await;
        peer.send(CLOSE, &close_payload(1000, "")).await;
        let peer = task(async move {
            peer.read_to(CLOSE).await;
            peer
        });
        // Each read is the end of the file, and none waits: the reader looks in as often as it likes.
        for _ in 0..10_000 {
            assert_eq!(stream.read(&mut [0; 100]).await.unwrap(), 0);
            if peer.is_finished() {
                break;
            }
            yield_now().await;
        }
        assert!(peer.is_finished(), "the answer doesn't leave");
        let peer = peer.await.unwrap();
        assert!(peer.payload() == written);
        assert_eq!(peer.all(CLOSE), [close_payload(1000, "")]);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_pauses_keeps_its_stream_while_another_task_writes() {
    everywhere(&libraries(), &[()], async |library, role, ()| {
        let half_minute = Duration::from_secs(30);
        let config = Config::new().keep_alive(half_minute, half_minute);
        let (near, far) = library.connect(role, 4096).await;
        let stream = WebSocketStream::after_handshake(near, role, config);
        let other = if role == Role::Client { Role::Server } else { Role::Client };
        let far = WebSocketStream::after_handshake(far, other, PayloadType::Binary);
        let (mut reads, mut writes) = split(stream);
        let (mut far_reads, mut far_writes) = split(far);
        let download = task(async move {
            far_writes.write_all(&vec![1; 1 << 20]).await?;
            far_writes.flush().await
        });
        let slow = task(async move {
            let mut some = [0; 500];
            while far_reads.read(&mut some).await.is_ok_and(|n| n > 0) {
                sleep(Duration::from_millis(500)).await;
            }
        });
        let upload = task(async move {
            loop {
                writes.write_all(&[7; 20_000]).await?;
                writes.flush().await?;
            }
            #[allow(unreachable_code, reason = "it says what the task's errors are")]
            std::io::Result::Ok(())
        });
        let mut received = vec![0; 1 << 20];
        reads.read_exact(&mut received[..100_000]).await.unwrap();
        sleep(Duration::from_secs(75)).await;
        reads.read_exact(&mut received[100_000..]).await.unwrap();
        assert!(!upload.is_finished());
        drop((download, slow, upload));
    })
    .await;
}
