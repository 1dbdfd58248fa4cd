//! A peer that has gone is noticed, and a WebSocket doesn't look idle.
//!
//! Time is paused: it goes on only when every task waits for it, and exactly as far as it must.

mod common;

use common::{
    ROLES, cause,
    frames::{self, BINARY, CLOSE, PING, PONG},
    stream,
};
use fastwebsockets_stream::{Config, Error, WebSocketStream, fastwebsockets::Role};
use std::{io, pin::Pin, time::Duration};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufWriter},
    time::{Instant, advance, timeout},
};
use tokio_test::{assert_pending, task};

const INTERVAL: Duration = Duration::from_secs(30);
const TIMEOUT: Duration = Duration::from_secs(10);
const MOMENT: Duration = Duration::from_millis(5);

fn keep_alive() -> Config {
    Config::new().keep_alive(INTERVAL, TIMEOUT)
}

/// Reads for this long, in vain.
async fn wait<S>(stream: &mut WebSocketStream<S>, time: Duration)
where
    WebSocketStream<S>: AsyncReadExt + Unpin,
{
    let read = timeout(time, stream.read_u8()).await;
    assert!(read.is_err(), "{read:?}");
}

/// Reads until the error; returns how long that took.
async fn until_error<S>(stream: &mut WebSocketStream<S>) -> (io::Error, Duration)
where
    WebSocketStream<S>: AsyncReadExt + Unpin,
{
    let start = Instant::now();
    let error = stream.read_u8().await.unwrap_err();
    (error, start.elapsed())
}

fn opcodes(peer: &common::transports::Peer) -> Vec<u8> {
    peer.frames().iter().map(|frame| frame.opcode).collect()
}

#[tokio::test(start_paused = true)]
async fn a_ping_goes_out_once_nothing_has_come_for_the_interval() {
    for role in ROLES {
        let (mut stream, peer) = stream(role, keep_alive());
        wait(&mut stream, INTERVAL - MOMENT).await;
        assert!(opcodes(&peer).is_empty());
        wait(&mut stream, 2 * MOMENT).await;
        let frames = peer.frames();
        assert_eq!((frames.len(), frames[0].opcode, frames[0].fin), (1, PING, true));
        assert_eq!(frames[0].masked, role == Role::Client);
    }
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_says_nothing_is_timed_out() {
    for role in ROLES {
        let (mut stream, peer) = stream(role, keep_alive());
        let (error, time) = until_error(&mut stream).await;
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert_eq!(cause(&error), &Error::Silent);
        assert!(time >= INTERVAL + TIMEOUT && time < INTERVAL + TIMEOUT + MOMENT, "{time:?}");
        assert_eq!(opcodes(&peer), [PING]);

        let (error, time) = until_error(&mut stream).await;
        assert_eq!((error.kind(), time), (io::ErrorKind::TimedOut, Duration::ZERO));
        let error = stream.write_all(b"more").await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
        assert!(opcodes(&peer).is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn any_byte_of_the_peer_is_a_sign_of_life() {
    for role in ROLES {
        let message = frames::to(role, BINARY, b"x");
        let (head, payload) = message.split_at(1);
        let pong = frames::to(role, PONG, b"");
        for sign in [head, payload, &pong] {
            let (mut stream, peer) = stream(role, keep_alive());
            if sign == payload {
                peer.send(head);
            }
            wait(&mut stream, INTERVAL - MOMENT).await;
            peer.send(sign);
            if sign == payload {
                assert_eq!(stream.read_u8().await.unwrap(), b'x');
            }
            wait(&mut stream, INTERVAL - MOMENT).await;
            assert!(opcodes(&peer).is_empty(), "the interval starts again");
            wait(&mut stream, 2 * MOMENT).await;
            assert_eq!(opcodes(&peer), [PING]);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_answered_ping_is_followed_by_the_next_after_the_interval() {
    // The timer that ran for the answer may end before or after the next ping is due.
    for time in [TIMEOUT, 3 * INTERVAL] {
        let config = Config::new().keep_alive(INTERVAL, time);
        let (mut stream, peer) = stream(Role::Client, config);
        wait(&mut stream, INTERVAL + MOMENT).await;
        for _ in 0..5 {
            assert_eq!(opcodes(&peer), [PING]);
            peer.send(&frames::unmasked(PONG, b""));
            wait(&mut stream, INTERVAL - MOMENT).await;
            assert!(opcodes(&peer).is_empty());
            wait(&mut stream, 2 * MOMENT).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_is_read_all_the_time_is_never_asked() {
    let (mut stream, peer) = stream(Role::Server, keep_alive());
    for _ in 0..100 {
        wait(&mut stream, INTERVAL / 3).await;
        peer.send(&frames::masked(BINARY, b"x"));
        assert_eq!(stream.read_u8().await.unwrap(), b'x');
    }
    assert!(opcodes(&peer).is_empty());
}

#[tokio::test(start_paused = true)]
async fn our_own_writing_is_no_sign_of_the_peers_life() {
    let (mut stream, peer) = stream(Role::Client, keep_alive());
    let start = Instant::now();
    let error = loop {
        stream.write_all(b"anybody there?").await.unwrap();
        match timeout(Duration::from_secs(1), stream.read_u8()).await {
            Err(_) => {}
            Ok(read) => break read.unwrap_err(),
        }
    };
    assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    assert!(start.elapsed() < INTERVAL + TIMEOUT + MOMENT);
    assert!(opcodes(&peer).contains(&PING));
}

#[tokio::test(start_paused = true)]
async fn time_in_which_nobody_reads_does_not_count() {
    let (mut stream, peer) = stream(Role::Client, keep_alive());
    wait(&mut stream, INTERVAL + MOMENT).await;
    assert_eq!(opcodes(&peer), [PING]);

    // An answer that nobody has read is one.
    peer.send(&frames::unmasked(PONG, b""));
    advance(Duration::from_secs(3600)).await;
    wait(&mut stream, INTERVAL - MOMENT).await;
    assert!(opcodes(&peer).is_empty());

    // Without one, there is as much time as before.
    wait(&mut stream, 2 * MOMENT).await;
    assert_eq!(opcodes(&peer), [PING]);
    advance(Duration::from_secs(3600)).await;
    wait(&mut stream, TIMEOUT - MOMENT).await;
    let (error, time) = until_error(&mut stream).await;
    assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    assert!(time < 2 * MOMENT, "{time:?}");
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_comes_with_the_last_tick_counts() {
    // A thread that was busy sees timer and transport at the same time, the timer first.
    let (mut stream, peer) = stream(Role::Client, keep_alive());
    wait(&mut stream, INTERVAL + TIMEOUT - MOMENT).await;
    let mut read = task::spawn(stream.read_u8());
    assert_pending!(read.poll());
    advance(MOMENT).await;
    assert_pending!(read.poll());
    peer.send(&frames::unmasked(PONG, b""));
    assert_pending!(read.poll());
    drop(read);
    wait(&mut stream, INTERVAL - MOMENT).await;
}

#[tokio::test(start_paused = true)]
async fn a_stream_without_it_waits_for_ever() {
    let (mut stream, peer) = stream(Role::Client, Config::new());
    wait(&mut stream, Duration::from_secs(365 * 24 * 3600)).await;
    assert!(opcodes(&peer).is_empty());
}

#[tokio::test(start_paused = true)]
async fn no_ping_follows_our_close_and_the_peer_has_to_answer_it() {
    for role in ROLES {
        let (mut stream, peer) = stream(role, keep_alive());
        stream.shutdown().await.unwrap();
        let (error, _) = until_error(&mut stream).await;
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert_eq!(opcodes(&peer), [CLOSE]);
    }
}

#[tokio::test(start_paused = true)]
async fn with_half_close_the_peer_may_take_its_time_after_our_close() {
    for role in ROLES {
        let (mut stream, peer) = stream(role, keep_alive().half_close(true));
        stream.shutdown().await.unwrap();
        wait(&mut stream, Duration::from_secs(3600)).await;
        peer.send(&frames::to(role, BINARY, b"x"));
        assert_eq!(stream.read_u8().await.unwrap(), b'x');
        assert_eq!(opcodes(&peer), [CLOSE]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_close_does_not_wait_for_ever() {
    for role in ROLES {
        let (mut stream, _peer) = stream(role, keep_alive());
        let start = Instant::now();
        let error = stream.close(1000, "").await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert!(start.elapsed() < INTERVAL + TIMEOUT + MOMENT);
    }
}

#[tokio::test(start_paused = true)]
async fn a_buffered_reader_keeps_alive_as_well() {
    let (mut stream, peer) = stream(Role::Client, keep_alive());
    let error = stream.fill_buf().await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    assert_eq!(opcodes(&peer), [PING]);
}

#[tokio::test(start_paused = true)]
async fn a_waiting_writer_learns_that_the_peer_is_gone() {
    let (mut stream, peer) = stream(Role::Client, keep_alive());
    peer.take_only(10);
    let mut writer = task::spawn(());
    let mut fill = |stream: &mut WebSocketStream<_>| {
        writer.enter(|cx, _| Pin::new(stream).poll_write(cx, &[0; 50_000]))
    };
    while fill(&mut stream).is_ready() {}
    let (error, _) = until_error(&mut stream).await;
    assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    assert!(writer.is_woken());
    let error = stream.write_all(b"more").await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
}

#[tokio::test(start_paused = true)]
async fn a_ping_that_finds_no_room_goes_out_when_there_is_some() {
    for role in ROLES {
        let (mut stream, peer) = stream(role, keep_alive());
        // One large frame, which the transport takes in part.
        peer.take_only(50_000);
        stream.write_all(&[7; 200_000]).await.unwrap();
        wait(&mut stream, INTERVAL + MOMENT).await;
        peer.take_all();
        wait(&mut stream, MOMENT).await;
        assert_eq!(opcodes(&peer), [BINARY, PING]);
        peer.send(&frames::to(role, PONG, b""));
        wait(&mut stream, INTERVAL - MOMENT).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_ping_that_could_not_leave_while_nobody_read_gets_its_whole_time() {
    let (mut stream, peer) = stream(Role::Server, keep_alive());
    peer.take_only(10);
    stream.write_all(&[1; 100]).await.unwrap();
    wait(&mut stream, INTERVAL + MOMENT).await;
    advance(TIMEOUT + Duration::from_millis(200)).await;
    peer.take_all();
    wait(&mut stream, TIMEOUT - MOMENT).await;
    assert_eq!(opcodes(&peer), [BINARY, PING]);
    let (error, _) = until_error(&mut stream).await;
    assert_eq!(error.kind(), io::ErrorKind::TimedOut);
}

#[tokio::test(start_paused = true)]
async fn a_close_does_not_wait_for_a_transport_whose_other_end_is_gone() {
    let (transport, _peer) = tokio::io::duplex(10);
    let transport = BufWriter::new(transport);
    let mut stream = WebSocketStream::after_handshake(transport, Role::Server, keep_alive());
    stream.write_all(&[1; 100]).await.unwrap();
    for _ in 0..2 {
        let closing = timeout(Duration::from_secs(3600), stream.close(1000, ""));
        let error = closing.await.expect("in time").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }
}

#[tokio::test(start_paused = true)]
async fn any_duration_is_taken() {
    for (interval, time) in [
        (Duration::MAX, Duration::MAX),
        (INTERVAL, Duration::MAX),
        (Duration::ZERO, TIMEOUT),
        (Duration::ZERO, Duration::ZERO),
    ] {
        let (mut stream, _peer) = stream(Role::Client, Config::new().keep_alive(interval, time));
        let _either = timeout(Duration::from_secs(3600), stream.read_u8()).await;
    }
}

#[tokio::test(start_paused = true)]
async fn two_streams_that_only_wait_stay_open() {
    let (a, b) = tokio::io::duplex(100);
    let mut a = WebSocketStream::after_handshake(a, Role::Client, keep_alive());
    let mut b = WebSocketStream::after_handshake(b, Role::Server, keep_alive());
    let day = Duration::from_secs(24 * 3600);
    tokio::join!(wait(&mut a, day), wait(&mut b, day));
    a.write_all(b"x").await.unwrap();
    assert_eq!(b.read_u8().await.unwrap(), b'x');
}
