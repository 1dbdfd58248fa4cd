//! What a library has been offered is what it is offered again: OpenSSL sends the bytes of the first
//! try, and counts those of the second.

use crate::{
    Stream,
    common::{
        bytes,
        frames::{BINARY, CLOSE, PING, PONG, close_payload},
    },
    everywhere,
    libraries::libraries,
    open, task,
    tasks::Tasks,
};
use fastwebsockets_stream::Config;
use std::{future::poll_fn, pin::Pin, task::Poll, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWrite, AsyncWriteExt},
    task::{unconstrained, yield_now},
    time::advance,
};
use tokio_test::task::spawn;

/// The line holds less than a record of TLS.
const NARROW: usize = 8 * 1024;

/// Frames so large that the stream takes none which the transport hasn't begun.
const LARGE: usize = 1 << 20;

const MOMENT: Duration = Duration::from_millis(5);

const ONE_CASE: [(); 1] = [()];

fn large_frames() -> Config {
    Config::new().max_frame_size(LARGE)
}

/// Offers these bytes until the stream says that it takes no more; returns how many it has taken.
async fn offer(stream: &mut Stream, bytes: &[u8]) -> usize {
    let mut taken = 0;
    unconstrained(poll_fn(|cx| {
        while taken < bytes.len() {
            match Pin::new(&mut *stream).poll_write(cx, &bytes[taken..]) {
                Poll::Ready(written) => taken += written.unwrap(),
                Poll::Pending => break,
            }
        }
        Poll::Ready(())
    }))
    .await;
    taken
}

#[tokio::test(start_paused = true)]
async fn a_write_that_waits_again_and_again_arrives_as_it_is() {
    everywhere(&libraries(), &[Config::new(), large_frames()], async |library, role, config| {
        let (mut stream, mut peer) = open(library, role, NARROW, config).await;
        let sent = bytes(2 << 20);
        let size = sent.len();
        let reading = task(async move {
            while peer.payload_len() < size {
                assert_ne!(peer.read_some(3000).await, 0, "the end, before all has come");
                yield_now().await;
            }
            peer
        });
        stream.write_all(&sent).await.unwrap();
        stream.flush().await.unwrap();
        let received = reading.await.unwrap().payload();
        let differs = received.iter().zip(&sent).position(|(a, b)| a != b);
        assert_eq!(differs, None, "the first byte that differs");
        assert_eq!(received.len(), size);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn no_pong_comes_between_a_write_that_waits_and_its_retry() {
    everywhere(&libraries(), &[1, 2, 3], async |library, role, pings| {
        let (stream, peer) = open(library, role, NARROW, large_frames()).await;
        unconstrained(async {
            let mut tasks = Tasks::new(stream, peer);
            let sent = bytes(2 << 20);
            tasks.write(sent.clone());
            tasks.flush();
            for n in 1..=pings {
                tasks.peer_sends(PING, &[n; 100]);
                assert!(tasks.run_reader());
                tasks.peer_reads();
            }
            tasks.run();
            assert!(tasks.peer.payload() == sent);
            assert_eq!(tasks.peer.all(PONG).last(), Some(&&[pings; 100][..]));
        })
        .await;
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn no_ping_of_keep_alive_comes_between_a_write_that_waits_and_its_retry() {
    everywhere(&libraries(), &ONE_CASE, async |library, role, ()| {
        let interval = Duration::from_secs(30);
        let config = large_frames().keep_alive(interval, interval);
        let (stream, peer) = open(library, role, NARROW, config).await;
        unconstrained(async {
            let mut tasks = Tasks::new(stream, peer);
            let sent = bytes(2 << 20);
            tasks.write(sent.clone());
            tasks.flush();
            advance(interval + MOMENT).await;
            // The timer is a task of its own.
            yield_now().await;
            assert!(tasks.run_reader(), "the ping is due");
            tasks.run();
            assert!(tasks.peer.payload() == sent);
            assert_eq!(tasks.peer.all(PING), [b""]);
        })
        .await;
    })
    .await;
}

/// Payload of the largest frame that the stream hands to OpenSSL in one write: with what is sent behind
/// it, it would be cut.
const LARGEST_COPY: usize = 66_546;

#[tokio::test(start_paused = true)]
async fn a_close_behind_a_write_that_waits_makes_its_retry_no_shorter() {
    // With one of these, eight times the line end in the last of the five records.
    let lines: Vec<usize> = (8_180..8_420).step_by(20).collect();
    everywhere(&libraries(), &lines, async |library, role, line| {
        let (mut stream, mut peer) = open(library, role, line, Config::new()).await;
        let sent = bytes(LARGEST_COPY);
        assert_eq!(offer(&mut stream, &sent).await, sent.len());
        unconstrained(async {
            for _ in 1..8 {
                spawn(()).enter(|cx, _| peer.poll_all(cx));
                let _flushed = spawn(()).enter(|cx, _| Pin::new(&mut stream).poll_flush(cx));
            }
        })
        .await;
        let reading = task(async move {
            peer.read_to(CLOSE).await;
            peer.send(CLOSE, &close_payload(1000, "")).await;
            peer
        });
        stream.close(1000, "no more to say").await.unwrap();
        assert!(reading.await.unwrap().payload() == sent);
    })
    .await;
}

/// How a stream is ended whose writer has given up waiting.
#[derive(Clone, Copy, Debug)]
enum End {
    Shutdown,
    Close,
    /// The peer's Close is answered.
    Answer,
}

#[tokio::test(start_paused = true)]
async fn a_close_after_a_write_that_was_given_up_ends_the_stream_as_ever() {
    let ends = [End::Shutdown, End::Close, End::Answer];
    everywhere(&libraries(), &ends, async |library, role, end| {
        let (mut stream, mut peer) = open(library, role, NARROW, large_frames()).await;
        let sent = bytes(2 << 20);
        let taken = offer(&mut stream, &sent).await;
        if matches!(end, End::Answer) {
            peer.send(CLOSE, &close_payload(1000, "")).await;
        }
        let reading = task(async move {
            peer.read_to(CLOSE).await;
            if !matches!(end, End::Answer) {
                peer.send(CLOSE, &close_payload(1000, "")).await;
            }
            peer
        });
        match end {
            End::Shutdown => stream.shutdown().await.unwrap(),
            End::Close => stream.close(1000, "").await.unwrap(),
            End::Answer => {
                assert_eq!(stream.read(&mut [0; 100]).await.unwrap(), 0);
                stream.flush().await.unwrap();
            }
        }
        let peer = reading.await.unwrap();
        assert_eq!(peer.payload().len(), taken);
        assert!(peer.payload() == sent[..taken]);
        assert_eq!(peer.all(CLOSE), [close_payload(1000, "")]);
        assert_eq!(stream.read(&mut [0; 100]).await.unwrap(), 0);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_write_that_was_given_up_is_followed_by_another_one() {
    everywhere(&libraries(), &[5, 5_000, 500_000], async |library, role, size| {
        let (mut stream, mut peer) = open(library, role, NARROW, large_frames()).await;
        let given_up = bytes(2 << 20);
        let taken = offer(&mut stream, &given_up).await;
        let other: Vec<u8> = bytes(size).iter().map(|byte| !byte).collect();
        let expected = [&given_up[..taken], &other].concat();
        let total = expected.len();
        let reading = task(async move {
            peer.read_payload(total).await;
            peer
        });
        stream.write_all(&other).await.unwrap();
        stream.flush().await.unwrap();
        let received = reading.await.unwrap().payload();
        assert!(received == expected);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_stream_goes_on_after_a_write_that_waited() {
    everywhere(&libraries(), &ONE_CASE, async |library, role, ()| {
        let (mut stream, mut peer) = open(library, role, NARROW, large_frames()).await;
        let size = 300_000;
        let echoing = task(async move {
            for n in 1..=3 {
                peer.read_payload(n * size).await;
                peer.send(BINARY, b"x").await;
            }
            peer
        });
        for _ in 1..=3 {
            stream.write_all(&bytes(size)).await.unwrap();
            stream.flush().await.unwrap();
            assert_eq!(stream.read_u8().await.unwrap(), b'x');
        }
        assert!(echoing.await.unwrap().payload() == bytes(size).repeat(3));
    })
    .await;
}
