//! A peer that has gone is noticed, and a WebSocket doesn't look idle.
//!
//! Time is paused: it goes on only when every task waits for it, and exactly as far as it must.

use crate::common::{
    self, ROLES, cause,
    frames::{self, BINARY, CLOSE, PING, PONG},
    stream,
};
use fastwebsockets_stream::{Config, Error, WebSocketStream, fastwebsockets::Role};
use std::{io, pin::Pin, task::Poll, time::Duration};
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufWriter},
    time::{Instant, advance, timeout},
};
use tokio_test::{assert_pending, assert_ready, assert_ready_ok, task};

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

/// Fills a stream whose peer reads nothing; returns when it takes no more.
fn fill<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut WebSocketStream<S>) {
    let mut writer = task::spawn(());
    while writer.enter(|cx, _| Pin::new(&mut *stream).poll_write(cx, &[0; 50_000])).is_ready() {}
}

/// How often interval and timeout pass before a transport that takes nothing is given up.
const STALLED: u32 = 15;

#[tokio::test(start_paused = true)]
async fn a_peer_whose_application_pauses_is_not_judged_by_our_own_back_pressure() {
    for role in ROLES {
        let (mut stream, peer) = stream(role, keep_alive());
        peer.take_only(100_000);
        fill(&mut stream);
        wait(&mut stream, (INTERVAL + TIMEOUT) * (STALLED - 1)).await;

        // It reads on: the ping goes out, and has all of its time.
        peer.take_all();
        wait(&mut stream, TIMEOUT - MOMENT).await;
        assert_eq!(opcodes(&peer).last(), Some(&PING));
        peer.send(&frames::to(role, PONG, b""));
        wait(&mut stream, INTERVAL - MOMENT).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_pause_after_the_ping_has_left_is_back_pressure_as_well_if_a_write_waits() {
    for role in ROLES {
        let (mut stream, peer) = stream(role, keep_alive());
        peer.take_only(100_000);
        fill(&mut stream);
        wait(&mut stream, INTERVAL + TIMEOUT).await;
        for _ in 0..3 {
            // The ping leaves, and the line is full again behind it.
            peer.take(1_000_000);
            fill(&mut stream);
            wait(&mut stream, (INTERVAL + TIMEOUT) * (STALLED - 2)).await;
        }
        peer.take_all();
        peer.send(&frames::to(role, PONG, b""));
        wait(&mut stream, INTERVAL - MOMENT).await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_line_takes_now_and_then_is_a_sign_of_life() {
    for role in ROLES {
        let (mut stream, peer) = stream(role, keep_alive());
        peer.take_only(100_000);
        fill(&mut stream);
        for _ in 0..20 {
            wait(&mut stream, (INTERVAL + TIMEOUT) * 5).await;
            peer.take(10_000);
            fill(&mut stream);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_is_gone_is_found_though_a_writer_waits_for_it() {
    for role in ROLES {
        for by_reader in [true, false] {
            let (mut stream, peer) = stream(role, keep_alive());
            peer.take_only(100_000);
            fill(&mut stream);
            let start = Instant::now();
            if by_reader {
                let (error, _) = until_error(&mut stream).await;
                assert_eq!(error.kind(), io::ErrorKind::TimedOut);
            } else {
                let error = stream.write_all(&[1; 50_000]).await.unwrap_err();
                assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
            }
            let time = start.elapsed();
            assert!(time >= (INTERVAL + TIMEOUT) * STALLED, "{time:?}");
            assert!(time <= (INTERVAL + TIMEOUT) * (STALLED + 2), "{time:?}");
            // What was accepted is lost.
            let error = stream.flush().await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_ping_behind_a_busy_line_has_its_time_from_when_it_has_left() {
    let (mut stream, peer) = stream(Role::Server, keep_alive());
    peer.take_only(100_000);
    fill(&mut stream);
    wait(&mut stream, INTERVAL + TIMEOUT / 2).await;
    peer.take_all();
    wait(&mut stream, TIMEOUT - MOMENT).await;
    let (error, time) = until_error(&mut stream).await;
    assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    assert!(time < 2 * MOMENT, "{time:?}");
}

/// A close that has to end in this time, with whatever result.
async fn close_in<S>(stream: &mut WebSocketStream<S>, most: Duration) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    timeout(most, stream.close(1000, "")).await.expect("in bounded time")
}

#[tokio::test(start_paused = true)]
async fn a_close_ends_though_the_peer_has_closed_and_reads_no_more() {
    for role in ROLES {
        for half_close in [false, true] {
            let (mut stream, peer) = stream(role, keep_alive().half_close(half_close));
            peer.take_only(100_000);
            fill(&mut stream);
            peer.send(&frames::close_to(role, 1000, ""));
            // With half-close it may only pause.
            let most = if half_close { (INTERVAL + TIMEOUT) * STALLED } else { TIMEOUT };
            let start = Instant::now();
            for _ in 0..2 {
                let error = close_in(&mut stream, most + MOMENT).await.unwrap_err();
                assert_eq!(error.kind(), io::ErrorKind::TimedOut);
            }
            assert!(start.elapsed() >= most);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_close_goes_on_while_a_peer_that_has_closed_takes_what_is_left() {
    for role in ROLES {
        let (mut stream, peer) = stream(role, keep_alive());
        peer.take_only(10);
        fill(&mut stream);
        peer.send(&frames::close_to(role, 1000, ""));
        let mut close = task::spawn(stream.close(1000, ""));
        for _ in 0..20 {
            assert_pending!(close.poll());
            advance(TIMEOUT / 2).await;
            peer.take(1000);
        }
        peer.take_all();
        assert_ready_ok!(close.poll());
    }
}

#[tokio::test(start_paused = true)]
async fn a_close_ends_though_the_transport_never_flushes_or_ends_after_a_truncation() {
    for role in ROLES {
        for half_close in [false, true] {
            let (mut stream, peer) = stream(role, keep_alive().half_close(half_close));
            stream.write_all(b"unflushed").await.unwrap();
            peer.block_flush(true);
            peer.end();
            for _ in 0..2 {
                let error = close_in(&mut stream, TIMEOUT + MOMENT).await.unwrap_err();
                assert_eq!(error.kind(), io::ErrorKind::TimedOut, "the payload is lost");
            }

            // The flush is through; the transport's end isn't.
            let (mut stream, peer) = self::stream(role, keep_alive().half_close(half_close));
            peer.end();
            stream.read_u8().await.unwrap_err();
            peer.block_shutdown(true);
            for _ in 0..2 {
                let error = close_in(&mut stream, TIMEOUT + MOMENT).await.unwrap_err();
                assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_close_ends_with_half_close_though_the_peer_says_nothing() {
    for role in ROLES {
        let (mut stream, _peer) = stream(role, keep_alive().half_close(true));
        let error = close_in(&mut stream, INTERVAL + TIMEOUT + MOMENT).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);

        // After a shutdown only a close counts the time.
        let (mut stream, _peer) = self::stream(role, keep_alive().half_close(true));
        stream.shutdown().await.unwrap();
        wait(&mut stream, Duration::from_secs(3600)).await;
        let error = close_in(&mut stream, INTERVAL + TIMEOUT + MOMENT).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }
}

#[tokio::test(start_paused = true)]
async fn a_close_ends_though_the_peer_never_stops_sending() {
    for role in ROLES {
        for half_close in [false, true] {
            // A trickle, or more than is dropped in one go.
            for size in [1, 150_000] {
                let (mut stream, peer) = stream(role, keep_alive().half_close(half_close));
                let start = Instant::now();
                let mut close = task::spawn(stream.close(1000, ""));
                let error = loop {
                    peer.send(&frames::to(role, BINARY, &vec![1; size]));
                    if let Poll::Ready(closed) = close.poll() {
                        break closed.unwrap_err();
                    }
                    advance(Duration::from_secs(1)).await;
                };
                assert_eq!(error.kind(), io::ErrorKind::TimedOut);
                let most = (INTERVAL + TIMEOUT) * STALLED;
                assert!((most..most + 2 * INTERVAL).contains(&start.elapsed()));
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_close_ends_though_the_peer_says_nothing_and_the_transport_takes_nothing() {
    for role in ROLES {
        let (mut stream, peer) = stream(role, keep_alive());
        peer.take_only(10);
        fill(&mut stream);
        let most = (INTERVAL + TIMEOUT) * (STALLED + 1);
        let error = close_in(&mut stream, most).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }
}

#[tokio::test(start_paused = true)]
async fn a_close_ends_though_the_transports_end_does_not_come_once_both_closes_are_through() {
    for role in ROLES {
        let (mut stream, peer) = stream(role, keep_alive());
        peer.send(&frames::close_to(role, 1000, ""));
        peer.block_shutdown(true);
        close_in(&mut stream, TIMEOUT + MOMENT).await.unwrap();
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap()
}

#[test]
fn a_stream_that_outlives_the_runtime_of_its_timer_gives_an_error() {
    for role in ROLES {
        let (mut stream, peer) = stream(role, keep_alive());
        let first = runtime();
        first.block_on(wait(&mut stream, MOMENT));
        drop(first);

        let no_runtime = |error: io::Error| {
            assert_eq!(common::cause(&error), &Error::NoRuntime);
            assert_eq!(error.kind(), io::ErrorKind::Other);
        };
        for _ in 0..2 {
            no_runtime(assert_ready!(task::spawn(stream.read_u8()).poll()).unwrap_err());
            no_runtime(runtime().block_on(stream.read_u8()).unwrap_err());
        }
        no_runtime(assert_ready!(task::spawn(stream.fill_buf()).poll()).unwrap_err());
        no_runtime(runtime().block_on(stream.close(1000, "")).unwrap_err());

        // What has come is still there, and nobody needs a timer for it.
        peer.send(&frames::to(role, BINARY, b"x"));
        assert_eq!(runtime().block_on(stream.read_u8()).unwrap(), b'x');
        peer.send(&frames::close_to(role, 1000, ""));
        runtime().block_on(stream.close(1000, "")).unwrap();
    }
}

#[test]
fn a_stream_that_is_polled_outside_of_a_runtime_gives_an_error_only_if_it_waits() {
    for role in ROLES {
        let (mut stream, peer) = stream(role, keep_alive());
        peer.send(&frames::to(role, BINARY, b"x"));
        assert_eq!(assert_ready_ok!(task::spawn(stream.read_u8()).poll()), b'x');
        let error = assert_ready!(task::spawn(stream.read_u8()).poll()).unwrap_err();
        assert_eq!(common::cause(&error), &Error::NoRuntime);
    }
}

#[tokio::test(start_paused = true)]
async fn a_dropped_stream_leaves_no_timer_behind() {
    let metrics = tokio::runtime::Handle::current().metrics();
    let before = metrics.num_alive_tasks();
    let (mut stream, _peer) = stream(Role::Client, keep_alive());
    wait(&mut stream, INTERVAL + MOMENT).await;
    assert_eq!(metrics.num_alive_tasks(), before + 1);
    drop(stream);
    tokio::task::yield_now().await;
    assert_eq!(metrics.num_alive_tasks(), before);
}

#[tokio::test(start_paused = true)]
async fn an_answer_behind_payload_that_we_do_not_read_is_no_silence_of_the_peers() {
    for role in ROLES {
        let (mut stream, peer) = stream(role, keep_alive());
        peer.send(&frames::to(role, BINARY, b"unread"));
        let start = Instant::now();
        while start.elapsed() < (INTERVAL + TIMEOUT) * (STALLED - 2) {
            // A writer that waits, again and again.
            peer.block_flush(true);
            stream.write_all(b"up").await.unwrap();
            timeout(Duration::from_secs(5), stream.flush()).await.unwrap_err();
            peer.block_flush(false);
            stream.flush().await.unwrap();
            if opcodes(&peer).contains(&PING) {
                peer.send(&frames::to(role, PONG, b""));
            }
        }
        let mut received = [0; 6];
        stream.read_exact(&mut received).await.unwrap();
        assert_eq!(&received, b"unread");
    }
}

#[tokio::test(start_paused = true)]
async fn a_writer_that_waits_for_a_peer_that_is_gone_gives_up_whatever_was_read() {
    let (open, half) = (keep_alive(), keep_alive().half_close(true));
    for role in ROLES {
        for (what, config, sent) in [
            ("write", half, "Close"),
            ("flush", half, "Close"),
            ("shutdown", half, ""),
            ("flush", open, "Close"),
            ("shutdown", open, "Close"),
            ("shutdown", open, "end"),
            ("write", open, "payload and Close"),
        ] {
            let (mut stream, peer) = stream(role, config);
            peer.take_only(10);
            fill(&mut stream);
            let close = frames::close_to(role, 1000, "");
            match sent {
                "Close" => peer.send(&close),
                "end" => peer.end(),
                "payload and Close" => {
                    peer.send(&[frames::to(role, BINARY, b"bye"), close].concat());
                }
                _ => {}
            }
            let wait = async {
                match what {
                    "write" => stream.write_all(&[1; 50_000]).await,
                    "flush" => stream.flush().await,
                    _ => stream.shutdown().await,
                }
            };
            let most = (INTERVAL + TIMEOUT) * (STALLED + 2);
            let ended = timeout(most, wait).await;
            ended.unwrap_or_else(|_| panic!("{what} after {sent}")).unwrap_err();
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_close_that_was_given_up_leaves_no_mark() {
    for role in ROLES {
        let (mut stream, peer) = stream(role, keep_alive().half_close(true));
        timeout(Duration::from_secs(5), stream.close(1000, "")).await.unwrap_err();
        // The peer may take its time for a read again.
        wait(&mut stream, Duration::from_secs(3600)).await;
        let mut close = task::spawn(stream.close(1000, ""));
        assert_pending!(close.poll());
        peer.send(&frames::close_to(role, 1000, ""));
        assert_ready_ok!(close.poll());
    }
}
