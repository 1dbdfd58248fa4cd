//! What was accepted and lost is an error; what was not lost is none.

use crate::common::{
    self, ROLES, cause,
    frames::{self, BINARY, CLOSE, PING},
    in_time, stream,
    transports::{Peer, Wire},
};
use fastwebsockets_stream::{
    CloseFrame, Config, Error, PayloadType, WebSocketStream,
    fastwebsockets::{CloseCode, Role},
};
use std::{
    error::Error as _,
    io::{self, ErrorKind},
    pin::Pin,
    task::Poll,
};
use tokio::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio_test::{assert_pending, assert_ready_err, assert_ready_ok, task};

type Stream = WebSocketStream<Wire>;

/// Every way of closing that a stream may have.
fn modes() -> impl Iterator<Item = (Role, Config)> {
    ROLES.into_iter().flat_map(|role| {
        [(false, false), (true, false), (false, true), (true, true)]
            .map(|(half, strict)| (role, Config::new().half_close(half).strict_close(strict)))
    })
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Operation {
    Flush,
    Shutdown,
    Close,
}

const OPERATIONS: [Operation; 3] = [Operation::Flush, Operation::Shutdown, Operation::Close];

impl Operation {
    async fn run(self, stream: &mut Stream) -> io::Result<()> {
        in_time(async {
            match self {
                Operation::Flush => stream.flush().await,
                Operation::Shutdown => stream.shutdown().await,
                Operation::Close => stream.close(1000, "").await,
            }
        })
        .await
    }
}

/// A read that has to wait, or comes to something.
fn read_once(stream: &mut Stream) {
    let mut task = task::spawn(stream.read_u8());
    let _either = task.poll();
}

/// A stream whose transport has taken a part of what was accepted.
async fn left_behind(role: Role, config: Config) -> (Stream, Peer) {
    let (mut stream, peer) = stream(role, config);
    peer.take_only(3);
    in_time(stream.write_all(b"payload")).await.unwrap();
    (stream, peer)
}

#[tokio::test]
async fn payload_that_is_lost_is_an_error_of_what_comes_next_though_a_read_met_the_error() {
    for (role, config) in modes() {
        for operation in OPERATIONS {
            let (mut stream, peer) = left_behind(role, config).await;
            peer.fail_writes(ErrorKind::ConnectionReset);
            read_once(&mut stream);
            for _ in 0..3 {
                let error = operation.run(&mut stream).await.unwrap_err();
                assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{operation:?}");
            }
        }
    }
}

#[tokio::test]
async fn payload_that_is_lost_is_an_error_whatever_the_peer_has_said() {
    for (role, config) in modes() {
        for operation in OPERATIONS {
            for code in [1000, 1011] {
                let (mut stream, peer) = left_behind(role, config).await;
                peer.send(&frames::close_to(role, code, ""));
                read_once(&mut stream);
                assert!(stream.is_closed());
                peer.fail_writes(ErrorKind::BrokenPipe);
                for _ in 0..3 {
                    let error = operation.run(&mut stream).await.unwrap_err();
                    assert_eq!(error.kind(), ErrorKind::BrokenPipe, "{operation:?}");
                }
            }
        }
    }
}

#[tokio::test]
async fn payload_in_a_buffer_of_the_transport_is_lost_with_it() {
    for (role, config) in modes() {
        for operation in OPERATIONS {
            for reads in [false, true] {
                let (mut stream, peer) = stream(role, config);
                peer.buffering();
                in_time(stream.write_all(b"payload")).await.unwrap();
                peer.fail_flushes(ErrorKind::ConnectionAborted);
                if reads {
                    peer.send(&frames::close_to(role, 1000, ""));
                    read_once(&mut stream);
                }
                for _ in 0..2 {
                    let error = operation.run(&mut stream).await.unwrap_err();
                    assert_eq!(error.kind(), ErrorKind::ConnectionAborted, "{operation:?}");
                }
            }
        }
    }
}

#[tokio::test]
async fn the_first_to_ask_gets_the_transports_own_error_and_a_write_takes_none_from_it() {
    for role in ROLES {
        let (mut stream, peer) = left_behind(role, Config::new()).await;
        peer.send(&frames::close_to(role, 1000, ""));
        peer.fail_writes(ErrorKind::ConnectionReset);
        read_once(&mut stream);
        let error = in_time(stream.write(b"more")).await.unwrap_err();
        assert_eq!(cause(&error), &Error::Closed);
        let error = in_time(stream.flush()).await.unwrap_err();
        assert!(error.get_ref().is_none(), "the error itself: {error:?}");
        let error = in_time(stream.flush()).await.unwrap_err();
        assert_eq!(cause(&error), &Error::Transport(ErrorKind::ConnectionReset));
    }
}

#[tokio::test]
async fn flush_and_shutdown_are_fine_at_any_end_if_nothing_is_unsent() {
    for (role, config) in modes() {
        for end in ["transport", "error", "violation", "Close", "abnormal Close"] {
            for operations in [
                [Operation::Flush, Operation::Flush, Operation::Shutdown, Operation::Shutdown],
                [Operation::Shutdown, Operation::Shutdown, Operation::Flush, Operation::Shutdown],
            ] {
                let (mut stream, peer) = stream(role, config);
                in_time(stream.write_all(b"payload")).await.unwrap();
                in_time(stream.flush()).await.unwrap();
                match end {
                    "transport" => peer.end(),
                    "error" => peer.fail_reads(ErrorKind::ConnectionReset),
                    "violation" => peer.send(&[0xff; 4]),
                    "Close" => peer.send(&frames::close_to(role, 1000, "")),
                    _ => peer.send(&frames::close_to(role, 1011, "")),
                }
                let _end = in_time(stream.read(&mut [0; 9])).await;
                for operation in operations {
                    operation.run(&mut stream).await.unwrap_or_else(|error| {
                        panic!("{operation:?} after {end}: {error:?}");
                    });
                }
            }
        }
    }
}

#[tokio::test]
async fn what_was_accepted_goes_out_after_the_peers_direction_has_ended_without_a_close() {
    for role in ROLES {
        for operation in [Operation::Flush, Operation::Shutdown] {
            let (mut stream, peer) = left_behind(role, Config::new()).await;
            peer.end();
            let error = in_time(stream.read_u8()).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
            peer.take_all();
            operation.run(&mut stream).await.unwrap();
            let frames = peer.frames();
            assert_eq!((frames.len(), &frames[0].payload[..]), (1, &b"payload"[..]), "no Close");
            assert_eq!(peer.is_shut_down(), operation == Operation::Shutdown);

            // If it doesn't, that is told.
            let (mut stream, peer) = left_behind(role, Config::new()).await;
            peer.end();
            in_time(stream.read_u8()).await.unwrap_err();
            peer.fail_writes(ErrorKind::BrokenPipe);
            for _ in 0..2 {
                let error = operation.run(&mut stream).await.unwrap_err();
                assert_eq!(error.kind(), ErrorKind::BrokenPipe);
            }
        }
    }
}

#[tokio::test]
async fn a_close_after_an_error_is_an_error_again() {
    for (role, config) in modes() {
        for end in ["transport", "error", "violation", "write"] {
            let (mut stream, peer) = stream(role, config);
            let expected = match end {
                "transport" => {
                    peer.end();
                    ErrorKind::UnexpectedEof
                }
                "error" => {
                    peer.fail_reads(ErrorKind::ConnectionReset);
                    ErrorKind::ConnectionReset
                }
                "violation" => {
                    peer.send(&[0xff; 4]);
                    ErrorKind::InvalidData
                }
                _ => {
                    peer.fail_writes(ErrorKind::StorageFull);
                    ErrorKind::StorageFull
                }
            };
            for _ in 0..3 {
                let error = Operation::Close.run(&mut stream).await.unwrap_err();
                assert_eq!(error.kind(), expected, "{end}");
            }
        }
    }
}

#[test]
fn a_close_that_has_lost_payload_does_not_wait_for_the_peer() {
    for (role, config) in modes() {
        let (mut stream, peer) = stream(role, config);
        peer.take_only(3);
        assert_ready_ok!(task::spawn(stream.write_all(b"payload")).poll());
        let mut close = task::spawn(stream.close(1000, ""));
        assert_pending!(close.poll());
        peer.fail_writes(ErrorKind::ConnectionReset);
        assert!(close.is_woken());
        let error = assert_ready_err!(close.poll());
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    }
}

#[tokio::test]
async fn a_close_that_meets_another_reason_than_its_own_says_so() {
    for (role, config) in modes() {
        for code in [1001, 1008, 1011, 1012, 4000] {
            for reads_before in [false, true] {
                let (mut stream, peer) = stream(role, config);
                in_time(stream.write_all(b"was this read?")).await.unwrap();
                peer.send(&frames::close_to(role, code, "out of disk"));
                peer.end();
                if reads_before {
                    let _end = in_time(stream.read(&mut [0; 9])).await;
                }
                for _ in 0..2 {
                    let error = Operation::Close.run(&mut stream).await.unwrap_err();
                    assert_eq!(error.kind(), ErrorKind::ConnectionAborted);
                    let close: &CloseFrame = error.source().unwrap().downcast_ref().unwrap();
                    assert_eq!(close.code(), Some(CloseCode::from(code)));
                    assert_eq!(close.reason(), "out of disk");
                }
                // Both Closes went their way all the same.
                assert_eq!(peer.frames().last().unwrap().opcode, CLOSE);
                assert!(peer.is_shut_down());
            }
        }
    }
}

#[tokio::test]
async fn a_close_that_is_answered_by_a_normal_close_or_its_own_code_is_fine() {
    for (role, config) in modes() {
        for (ours, theirs) in [(1000, 1000), (1011, 1000), (4000, 1000), (1008, 1008), (4000, 4000)]
        {
            let (mut stream, peer) = stream(role, config);
            peer.send(&frames::close_to(role, theirs, ""));
            in_time(stream.close(ours, "")).await.unwrap();
            in_time(stream.close(1000, "")).await.unwrap();
        }
        let (mut stream, peer) = stream(role, config);
        peer.send(&frames::to(role, CLOSE, b""));
        in_time(stream.close(1012, "")).await.unwrap();
    }
}

#[tokio::test]
async fn the_peers_code_is_no_answer_if_our_close_only_repeated_it() {
    for role in ROLES {
        let (mut stream, peer) = stream(role, PayloadType::Binary);
        peer.send(&frames::close_to(role, 1011, ""));
        assert_eq!(in_time(stream.read(&mut [0; 9])).await.unwrap(), 0);
        let error = in_time(stream.close(1011, "")).await.unwrap_err();
        assert!(matches!(cause(&error), Error::Aborted(_)));
    }
}

#[test]
fn an_error_that_a_shutdown_meets_while_reading_is_the_readers_next() {
    for (role, config) in modes() {
        // The Close can't be flushed, which asks what the peer has said.
        let (mut stream, peer) = stream(role, config);
        peer.fail_flushes(ErrorKind::Other);
        peer.fail_reads(ErrorKind::ConnectionReset);
        assert_ready_err!(task::spawn(stream.shutdown()).poll());
        let error = assert_ready_err!(task::spawn(stream.read_u8()).poll());
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
        assert!(error.get_ref().is_none(), "the transport's own: {error:?}");

        // A shutdown that waits looks at what comes.
        let (mut stream, peer) = self::stream(role, config);
        peer.block_flush(true);
        let mut shutdown = task::spawn(stream.shutdown());
        assert_pending!(shutdown.poll());
        peer.fail_reads(ErrorKind::ConnectionReset);
        assert!(shutdown.is_woken());
        assert_pending!(shutdown.poll());
        drop(shutdown);
        let error = assert_ready_err!(task::spawn(stream.read_u8()).poll());
        assert!(error.get_ref().is_none(), "the transport's own: {error:?}");
    }
}

#[tokio::test]
async fn an_error_that_a_close_meets_while_reading_is_the_readers_next() {
    for (role, config) in modes() {
        let (mut stream, peer) = stream(role, config);
        peer.fail_reads(ErrorKind::ConnectionReset);
        let error = Operation::Close.run(&mut stream).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
        let error = in_time(stream.read_u8()).await.unwrap_err();
        assert!(error.get_ref().is_none(), "the transport's own: {error:?}");
        let error = in_time(stream.read_u8()).await.unwrap_err();
        assert_eq!(cause(&error), &Error::Transport(ErrorKind::ConnectionReset));
    }
}

#[tokio::test]
async fn half_a_code_point_that_a_close_came_in_the_way_of_is_a_loss() {
    for role in ROLES {
        for operation in [Operation::Shutdown, Operation::Close] {
            let (mut stream, peer) = stream(role, PayloadType::Text);
            in_time(stream.write_all(&"é".as_bytes()[..1])).await.unwrap();
            peer.send(&frames::close_to(role, 1000, ""));
            assert_eq!(in_time(stream.read(&mut [0; 9])).await.unwrap(), 0);
            let error = operation.run(&mut stream).await.unwrap_err();
            assert_eq!(cause(&error), &Error::UnfinishedCodePoint);
            assert_eq!(peer.frames()[0].opcode, CLOSE, "the answer went out all the same");
        }
    }
}

#[tokio::test]
async fn a_flush_after_the_peers_close_sends_ours_and_ends_the_transport() {
    for role in ROLES {
        let (mut stream, peer) = stream(role, PayloadType::Binary);
        peer.take_only(0);
        peer.send(&frames::close_to(role, 1000, ""));
        assert_eq!(in_time(stream.read(&mut [0; 9])).await.unwrap(), 0);
        peer.take_all();
        in_time(stream.flush()).await.unwrap();
        assert_eq!(peer.frames()[0].opcode, CLOSE);
        assert_eq!(peer.is_shut_down(), role == Role::Server);
    }
}

#[tokio::test]
async fn a_socket_is_not_given_back_after_a_write_that_failed_in_a_frame() {
    for role in ROLES {
        for size in [100, 100_000] {
            let (mut stream, peer) = stream(role, PayloadType::Binary);
            peer.take_only(10);
            in_time(stream.write_all(&vec![1; size])).await.unwrap();
            peer.fail_writes(ErrorKind::ConnectionReset);
            in_time(stream.flush()).await.unwrap_err();
            assert!(stream.into_inner().is_none());
        }
    }
}

/// What "not now" is: the same in both directions.
const TEMPORARY: [ErrorKind; 3] =
    [ErrorKind::Interrupted, ErrorKind::WouldBlock, ErrorKind::TimedOut];

#[tokio::test]
async fn an_error_that_says_not_now_is_passed_on_and_nothing_ends_by_it() {
    for role in ROLES {
        for kind in TEMPORARY {
            let (mut stream, peer) = stream(role, PayloadType::Binary);
            peer.fail_reads(kind);
            assert_eq!(in_time(stream.read(&mut [0])).await.unwrap_err().kind(), kind);
            peer.send(&frames::to(role, BINARY, b"x"));
            assert_eq!(in_time(stream.read_u8()).await.unwrap(), b'x');

            // A write that failed so has written nothing, and may be tried again.
            for size in [10, 10_000, 200_000] {
                let payload = vec![7; size];
                peer.fail_writes(kind);
                assert_eq!(in_time(stream.write(&payload)).await.unwrap_err().kind(), kind);
                in_time(stream.write_all(&payload)).await.unwrap();
                let frames = peer.frames();
                assert!(frames.len() == 1 && frames[0].payload == payload, "{size} bytes");
            }
            for operation in OPERATIONS {
                peer.take_only(0);
                in_time(stream.write_all(b"waits")).await.unwrap();
                peer.take_all();
                peer.fail_writes(kind);
                let error = operation.run(&mut stream).await.unwrap_err();
                assert_eq!(error.kind(), kind, "{operation:?}");
                in_time(stream.flush()).await.unwrap();
                assert_eq!(peer.frames()[0].payload, b"waits");
                if operation != Operation::Flush {
                    break;
                }
            }
            peer.send(&frames::close_to(role, 1000, ""));
            Operation::Close.run(&mut stream).await.unwrap();
        }
    }
}

#[tokio::test]
async fn a_frame_that_was_begun_is_ended_after_an_error_that_says_not_now() {
    for kind in TEMPORARY {
        // A client's large frame goes out in pieces; the second of them fails.
        let (mut stream, peer) = stream(Role::Client, PayloadType::Binary);
        let payload = common::bytes(200_000);
        peer.fail_write_after(1, kind);
        in_time(stream.write_all(&payload)).await.unwrap();
        in_time(stream.flush()).await.unwrap();
        let frames = peer.frames();
        assert!(frames.len() == 1 && frames[0].payload == payload);
    }
}

#[test]
fn a_reader_that_meets_an_error_which_says_not_now_tries_again() {
    for role in ROLES {
        for kind in TEMPORARY {
            let (mut stream, peer) = stream(role, PayloadType::Binary);
            peer.fail_writes(kind);
            peer.send(&frames::to(role, PING, b"?"));
            let mut reader = task::spawn(());
            let mut memory = [0; 9];
            let mut read = |stream: &mut Stream| {
                let mut buf = tokio::io::ReadBuf::new(&mut memory);
                reader
                    .enter(|cx, _| tokio::io::AsyncRead::poll_read(Pin::new(stream), cx, &mut buf))
            };
            assert!(read(&mut stream).is_pending());
            assert!(read(&mut stream).is_pending());
            assert_eq!(peer.frames().len(), 1, "the pong");
            let mut writer = task::spawn(());
            let flushed = writer.enter(|cx, _| Pin::new(&mut stream).poll_flush(cx));
            assert!(matches!(flushed, Poll::Ready(Ok(()))));
        }
    }
}

/// A transport that fails with an error of our own type.
struct Nested;

impl tokio::io::AsyncRead for Nested {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
        _: &mut tokio::io::ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Poll::Pending
    }
}

impl AsyncWrite for Nested {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
        _: &[u8],
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(Err(Error::NotUtf8.into()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut std::task::Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut std::task::Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[tokio::test]
async fn a_nested_text_stream_that_refuses_our_bytes_is_a_transport_that_failed() {
    for role in ROLES {
        let mut stream = WebSocketStream::after_handshake(Nested, role, PayloadType::Binary);
        let error = in_time(stream.write(b"x")).await.unwrap_err();
        assert_eq!(cause(&error), &Error::NotUtf8);
        // Our own text would go on; a transport doesn't.
        let error = in_time(stream.write(b"x")).await.unwrap_err();
        assert_eq!(cause(&error), &Error::Closed);
    }
}

#[test]
fn an_interruption_that_a_reader_meets_takes_nobodys_wake_up() {
    for role in ROLES {
        for flush in [false, true] {
            let (mut stream, peer) = stream(role, PayloadType::Binary);
            let (mut reader, mut memory) = (task::spawn(()), [0; 9]);
            let mut read = |stream: &mut Stream| {
                let mut buf = tokio::io::ReadBuf::new(&mut memory);
                reader
                    .enter(|cx, _| tokio::io::AsyncRead::poll_read(Pin::new(stream), cx, &mut buf))
            };
            assert!(read(&mut stream).is_pending());
            if flush {
                peer.fail_one_flush(ErrorKind::Interrupted);
            } else {
                peer.fail_writes(ErrorKind::Interrupted);
            }
            peer.send(&frames::to(role, PING, b"?"));
            assert!(read(&mut stream).is_pending());
            assert!(reader.is_woken());
        }
    }
}

#[test]
fn a_frame_that_an_interruption_stopped_goes_on_by_itself() {
    let (mut stream, peer) = stream(Role::Client, PayloadType::Binary);
    let (mut reader, mut writer) = (task::spawn(()), task::spawn(()));
    let mut memory = [0; 9];
    let mut read = |stream: &mut Stream| {
        let mut buf = tokio::io::ReadBuf::new(&mut memory);
        reader.enter(|cx, _| tokio::io::AsyncRead::poll_read(Pin::new(stream), cx, &mut buf))
    };
    assert!(read(&mut stream).is_pending());
    peer.fail_write_after(1, ErrorKind::Interrupted);
    assert_ready_ok!(writer.enter(|cx, _| Pin::new(&mut stream).poll_write(cx, &[1; 200_000])));
    assert!(read(&mut stream).is_pending());
    assert!(writer.is_woken());
    assert_eq!(peer.frames()[0].payload.len(), 200_000);
}

#[tokio::test]
async fn half_a_code_point_that_is_lost_with_the_transport_is_a_loss() {
    for role in ROLES {
        for operation in [Operation::Flush, Operation::Shutdown] {
            let (mut stream, peer) = stream(role, PayloadType::Text);
            in_time(stream.write_all(&"é".as_bytes()[..1])).await.unwrap();
            in_time(stream.flush()).await.unwrap();
            peer.fail_writes(ErrorKind::ConnectionReset);
            peer.send(&frames::to(role, PING, b"?"));
            read_once(&mut stream);
            peer.end();
            read_once(&mut stream);
            operation.run(&mut stream).await.unwrap_err();

            // A Close came in its way.
            let (mut stream, peer) = self::stream(role, PayloadType::Text);
            in_time(stream.write_all(&"é".as_bytes()[..1])).await.unwrap();
            peer.send(&frames::close_to(role, 1000, ""));
            read_once(&mut stream);
            let error = operation.run(&mut stream).await.unwrap_err();
            assert_eq!(cause(&error), &Error::UnfinishedCodePoint);
        }
    }
}

#[test]
fn a_close_with_our_code_that_came_before_ours_had_left_is_no_answer() {
    for role in ROLES {
        let (mut stream, peer) = stream(role, PayloadType::Binary);
        peer.take_only(3);
        assert_ready_ok!(task::spawn(stream.write_all(b"unsent")).poll());
        let mut close = task::spawn(stream.close(4000, ""));
        assert_pending!(close.poll());
        peer.send(&frames::close_to(role, 4000, ""));
        assert_pending!(close.poll());
        peer.take_all();
        let error = assert_ready_err!(close.poll());
        assert!(matches!(cause(&error), Error::Aborted(_)));
    }
}

#[tokio::test]
async fn a_socket_is_not_given_back_after_half_a_close() {
    for role in ROLES {
        let (mut stream, peer) = stream(role, PayloadType::Binary);
        peer.take_only(2);
        let mut shutdown = task::spawn(stream.shutdown());
        assert_pending!(shutdown.poll());
        peer.fail_writes(ErrorKind::ConnectionReset);
        assert_ready_ok!(shutdown.poll());
        drop(shutdown);
        assert!(stream.into_inner().is_none());
    }
}

#[tokio::test]
async fn a_shutdown_that_was_told_not_now_has_not_ended() {
    for role in ROLES {
        let (mut stream, peer) = stream(role, PayloadType::Binary);
        peer.buffering();
        peer.send(&frames::to(role, BINARY, b"x"));
        peer.fail_one_flush(ErrorKind::Interrupted);
        in_time(stream.shutdown()).await.unwrap_err();
        in_time(stream.shutdown()).await.unwrap();
        assert_eq!(peer.frames()[0].opcode, CLOSE);
    }
}

#[tokio::test]
async fn a_close_that_was_told_not_now_goes_on_when_it_is_called_again() {
    for role in ROLES {
        for kind in [ErrorKind::Interrupted, ErrorKind::TimedOut] {
            let (mut stream, peer) = stream(role, PayloadType::Binary);
            peer.buffering();
            peer.fail_one_flush(kind);
            let error = in_time(stream.close(1000, "")).await.unwrap_err();
            assert_eq!(error.kind(), kind);
            peer.send(&frames::close_to(role, 1000, ""));
            in_time(stream.close(1000, "")).await.unwrap();
            assert_eq!(peer.frames()[0].opcode, CLOSE);
        }
    }
}
