//! How streams end, line by line as the documentation has it.

use crate::{
    common::{
        ROLES, bytes, cause,
        frames::{self, BINARY, CLOSE, PING, PONG},
        stream,
        transports::{Peer, Wire},
    },
    over::{Over, in_time, joined_over, settle, settle_future, stream_over},
    over_all,
};
use fastwebsockets_stream::{
    CloseFrame, Config, Error, PayloadType, WebSocketStream,
    fastwebsockets::{CloseCode, Role},
};
use std::{error::Error as _, io::ErrorKind, pin::Pin};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio_test::{assert_pending, assert_ready, assert_ready_err, assert_ready_ok, task};

fn binary(role: Role) -> (WebSocketStream<Wire>, Peer) {
    stream(role, PayloadType::Binary)
}

fn half_closing(role: Role) -> (WebSocketStream<Wire>, Peer) {
    stream(role, Config::new().half_close(true))
}

async fn expect_eof(stream: &mut (impl AsyncRead + Unpin)) {
    for _ in 0..3 {
        assert_eq!(in_time(stream.read(&mut [0; 100])).await.unwrap(), 0);
    }
}

async fn expect_broken_pipe(stream: &mut (impl AsyncWrite + Unpin)) {
    for _ in 0..2 {
        let error = in_time(stream.write(b"x")).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::BrokenPipe);
    }
}

/// The one Close among the frames.
fn close_payload(frames: &[frames::Frame]) -> &[u8] {
    let closes: Vec<_> = frames.iter().filter(|frame| frame.opcode == CLOSE).collect();
    assert_eq!(closes.len(), 1, "one Close");
    assert_eq!(frames.last().unwrap().opcode, CLOSE, "nothing after it");
    &closes[0].payload
}

over_all!(a_peers_close_is_end_of_file_for_ever_and_echoed_once_with_its_code);
async fn a_peers_close_is_end_of_file_for_ever_and_echoed_once_with_its_code(over: Over) {
    for role in ROLES {
        for code in [1000, 1001, 1002, 1003, 1007, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999] {
            let (mut stream, peer) = stream_over(over, role, PayloadType::Binary);
            peer.send(&frames::to(role, BINARY, b"before"));
            peer.send(&frames::close_to(role, code, "a reason"));
            peer.send(&frames::to(role, BINARY, b"after"));
            assert!(!stream.is_closed());
            let mut received = Vec::new();
            in_time(stream.read_to_end(&mut received)).await.unwrap();
            assert_eq!(received, b"before");
            expect_eof(&mut stream).await;
            assert!(stream.is_closed());
            let close = stream.close_frame().unwrap();
            assert_eq!(close.code(), Some(CloseCode::from(code)));
            assert_eq!(close.reason(), "a reason");
            expect_broken_pipe(&mut stream).await;
            for _ in 0..2 {
                in_time(stream.flush()).await.unwrap();
                in_time(stream.shutdown()).await.unwrap();
            }
            assert_eq!(close_payload(&peer.frames()), code.to_be_bytes());
        }
    }
}

over_all!(an_empty_close_is_echoed_empty);
async fn an_empty_close_is_echoed_empty(over: Over) {
    for role in ROLES {
        let (mut stream, peer) = stream_over(over, role, PayloadType::Binary);
        peer.send(&frames::to(role, CLOSE, b""));
        expect_eof(&mut stream).await;
        assert_eq!(stream.close_frame().unwrap().code(), None);
        over.flush(&mut stream).await;
        assert_eq!(close_payload(&peer.frames()), b"");
    }
}

over_all!(the_echo_comes_after_what_was_accepted);
async fn the_echo_comes_after_what_was_accepted(over: Over) {
    for role in ROLES {
        let (mut stream, peer) = stream_over(over, role, PayloadType::Binary);
        peer.take_only(2);
        in_time(stream.write_all(b"accepted")).await.unwrap();
        peer.send(&frames::close_to(role, 1001, ""));
        expect_eof(&mut stream).await;
        expect_broken_pipe(&mut stream).await;
        peer.take_all();
        in_time(stream.flush()).await.unwrap();
        let frames = peer.frames();
        assert_eq!(frames::payload(&frames), b"accepted");
        assert_eq!(close_payload(&frames), 1001u16.to_be_bytes());
    }
}

over_all!(what_answers_bytes_before_a_close_goes_out_before_the_echo);
async fn what_answers_bytes_before_a_close_goes_out_before_the_echo(over: Over) {
    // However the peer's bytes are cut into packets: here they come in one.
    for role in ROLES {
        let (mut stream, peer) = stream_over(over, role, PayloadType::Binary);
        peer.send(
            &[frames::to(role, BINARY, b"question"), frames::close_to(role, 1000, "")].concat(),
        );
        let mut question = [0; 8];
        in_time(stream.read_exact(&mut question)).await.unwrap();
        assert!(!stream.is_closed());
        in_time(stream.write_all(b"answer")).await.unwrap();
        expect_eof(&mut stream).await;
        over.flush(&mut stream).await;
        let frames = peer.frames();
        assert_eq!(frames::payload(&frames), b"answer");
        assert_eq!(close_payload(&frames), 1000u16.to_be_bytes());
    }
}

over_all!(frames_after_a_close_are_ignored);
async fn frames_after_a_close_are_ignored(over: Over) {
    for role in ROLES {
        let (mut stream, peer) = stream_over(over, role, PayloadType::Binary);
        peer.send(&frames::close_to(role, 1000, ""));
        expect_eof(&mut stream).await;
        over.flush(&mut stream).await;
        let answered = peer.frames().len();
        // Even what would be a violation.
        peer.send(&frames::to(role, PING, b"?"));
        peer.send(&[0xff; 100]);
        expect_eof(&mut stream).await;
        assert_eq!((answered, peer.frames().len()), (1, 0));
    }
}

over_all!(an_end_of_the_transport_without_close_is_unexpected_eof);
async fn an_end_of_the_transport_without_close_is_unexpected_eof(over: Over) {
    for role in ROLES {
        let whole = frames::to(role, BINARY, b"payload");
        for cut in 0..=whole.len() {
            let (mut stream, peer) = stream_over(over, role, PayloadType::Binary);
            peer.send(&frames::to(role, BINARY, b"before "));
            peer.send(&whole[..cut]);
            peer.end();
            let mut received = Vec::new();
            for _ in 0..3 {
                let error = in_time(stream.read_to_end(&mut received)).await.unwrap_err();
                assert_eq!(error.kind(), ErrorKind::UnexpectedEof, "cut at {cut}");
                assert_eq!(cause(&error), &Error::Truncated);
            }
            let head = whole.len() - 7;
            assert_eq!(received, [b"before ", &b"payload"[..cut.saturating_sub(head)]].concat());
            assert!(!stream.is_closed());
            expect_broken_pipe(&mut stream).await;
            assert!(!peer.is_shut_down());
            // As on TCP: nothing of ours is missing.
            for _ in 0..2 {
                in_time(stream.flush()).await.unwrap();
                in_time(stream.shutdown()).await.unwrap();
            }
            assert!(peer.is_shut_down());
        }
    }
}

over_all!(an_end_of_the_transport_in_a_close_or_message_is_unexpected_eof);
async fn an_end_of_the_transport_in_a_close_or_message_is_unexpected_eof(over: Over) {
    for role in ROLES {
        let close = frames::close_to(role, 1000, "bye");
        for ending in [&close[..close.len() - 1], &frames::fragment_to(role, BINARY, b"")] {
            let (mut stream, peer) = stream_over(over, role, PayloadType::Binary);
            peer.send(ending);
            peer.end();
            let error = in_time(stream.read(&mut [0; 9])).await.unwrap_err();
            assert_eq!(cause(&error), &Error::Truncated);
        }
    }
}

over_all!(shutdown_sends_close_1000_once_and_flushes);
async fn shutdown_sends_close_1000_once_and_flushes(over: Over) {
    for role in ROLES {
        let (mut stream, peer) = stream_over(over, role, PayloadType::Binary);
        in_time(stream.write_all(b"all of it")).await.unwrap();
        for _ in 0..3 {
            in_time(stream.shutdown()).await.unwrap();
        }
        let frames = peer.frames();
        assert_eq!(frames::payload(&frames), b"all of it");
        assert_eq!(close_payload(&frames), 1000u16.to_be_bytes());
        expect_broken_pipe(&mut stream).await;
        in_time(stream.flush()).await.unwrap();
        assert!(!peer.is_shut_down(), "the peer's Close has not come");
    }
}

over_all!(data_that_the_peer_still_sends_after_our_close_is_delivered);
async fn data_that_the_peer_still_sends_after_our_close_is_delivered(over: Over) {
    for role in ROLES {
        let (mut stream, peer) = stream_over(over, role, PayloadType::Binary);
        in_time(stream.shutdown()).await.unwrap();
        peer.send(&frames::to(role, BINARY, b"still "));
        peer.send(&frames::to(role, BINARY, b"coming"));
        peer.send(&frames::close_to(role, 1000, ""));
        let mut received = Vec::new();
        in_time(stream.read_to_end(&mut received)).await.unwrap();
        assert_eq!(received, b"still coming");
        assert_eq!(close_payload(&peer.frames()), 1000u16.to_be_bytes());
    }
}

over_all!(a_peer_that_ends_the_transport_instead_of_answering_our_close_is_unexpected_eof);
async fn a_peer_that_ends_the_transport_instead_of_answering_our_close_is_unexpected_eof(
    over: Over,
) {
    for role in ROLES {
        let (mut stream, peer) = stream_over(over, role, PayloadType::Binary);
        in_time(stream.shutdown()).await.unwrap();
        peer.end();
        let error = in_time(stream.read(&mut [0; 9])).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
    }
}

over_all!(the_server_ends_the_transport_once_both_closes_are_through_and_the_client_waits);
async fn the_server_ends_the_transport_once_both_closes_are_through_and_the_client_waits(
    over: Over,
) {
    for role in ROLES {
        // Our Close first, or the peer's.
        let (mut stream, peer) = stream_over(over, role, PayloadType::Binary);
        in_time(stream.shutdown()).await.unwrap();
        assert!(!peer.is_shut_down());
        peer.send(&frames::close_to(role, 1000, ""));
        expect_eof(&mut stream).await;
        over.shut_down(&mut stream).await;
        assert_eq!(peer.is_shut_down(), role == Role::Server);

        let (mut stream, peer) = stream_over(over, role, PayloadType::Binary);
        peer.take_only(0);
        peer.send(&frames::close_to(role, 1000, ""));
        expect_eof(&mut stream).await;
        assert!(!peer.is_shut_down(), "our Close has not gone out");
        peer.take_all();
        in_time(stream.shutdown()).await.unwrap();
        assert_eq!(peer.is_shut_down(), role == Role::Server);
        assert_eq!(peer.frames().len(), 1);
    }
}

#[tokio::test]
async fn a_peer_that_drops_the_transport_after_its_close_is_no_error() {
    for role in ROLES {
        for kind in [
            ErrorKind::BrokenPipe,
            ErrorKind::ConnectionAborted,
            ErrorKind::ConnectionReset,
            ErrorKind::NotConnected,
        ] {
            let (mut stream, peer) = binary(role);
            peer.send(&frames::to(role, BINARY, b"all"));
            peer.send(&frames::close_to(role, 1000, ""));
            // As TLS does where close_notify is missing.
            peer.fail_reads(ErrorKind::UnexpectedEof);
            peer.fail_writes(kind);
            peer.fail_shutdown(kind);
            let mut received = Vec::new();
            in_time(stream.read_to_end(&mut received)).await.unwrap();
            assert_eq!(received, b"all");
            expect_eof(&mut stream).await;
            in_time(stream.flush()).await.unwrap();
            in_time(stream.shutdown()).await.unwrap();
            expect_broken_pipe(&mut stream).await;
        }
    }
}

over_all!(a_peer_that_repeats_our_code_is_no_failure_of_close);
async fn a_peer_that_repeats_our_code_is_no_failure_of_close(over: Over) {
    for role in ROLES {
        for (answer, expected) in [(1011, Ok(())), (1012, Err(ErrorKind::ConnectionAborted))] {
            let (mut stream, peer) = stream_over(over, role, Config::new().strict_close(true));
            peer.send(&frames::close_to(role, answer, ""));
            peer.end();
            let closed = in_time(stream.close(1011, "the disk is gone")).await;
            assert_eq!(closed.map_err(|error| error.kind()), expected);
        }
    }
}

over_all!(strict_close_takes_only_a_normal_close_for_the_end_of_the_file);
async fn strict_close_takes_only_a_normal_close_for_the_end_of_the_file(over: Over) {
    for role in ROLES {
        let strict = Config::new().strict_close(true);
        for close in [frames::close_to(role, 1000, ""), frames::to(role, CLOSE, b"")] {
            let (mut stream, peer) = stream_over(over, role, strict);
            peer.send(&close);
            expect_eof(&mut stream).await;
        }
        for half_close in [false, true] {
            for code in [1001, 1002, 1011, 1012, 3000, 4000] {
                let (mut stream, peer) = stream_over(over, role, strict.half_close(half_close));
                peer.send(&frames::to(role, BINARY, b"part"));
                peer.send(&frames::close_to(role, code, "boom"));
                let mut received = Vec::new();
                for _ in 0..2 {
                    let error = in_time(stream.read_to_end(&mut received)).await.unwrap_err();
                    assert_eq!(error.kind(), ErrorKind::ConnectionAborted);
                    let close: &CloseFrame = error.source().unwrap().downcast_ref().unwrap();
                    assert_eq!(close.code(), Some(CloseCode::from(code)));
                    assert_eq!(close.reason(), "boom");
                    assert!(matches!(cause(&error), Error::Aborted(_)));
                    assert!(error.to_string().contains("boom"));
                }
                assert_eq!(received, b"part");
                expect_broken_pipe(&mut stream).await;
                in_time(stream.shutdown()).await.unwrap();
                assert_eq!(close_payload(&peer.frames()), code.to_be_bytes());
            }
        }
    }
}

over_all!(half_close_mode_lets_the_application_write_on_after_the_peers_close);
async fn half_close_mode_lets_the_application_write_on_after_the_peers_close(over: Over) {
    for role in ROLES {
        let (mut stream, peer) = stream_over(over, role, Config::new().half_close(true));
        peer.send(&frames::to(role, BINARY, b"request"));
        peer.send(&frames::close_to(role, 1001, "done asking"));
        let mut request = Vec::new();
        in_time(stream.read_to_end(&mut request)).await.unwrap();
        assert_eq!(request, b"request");
        assert!(stream.is_closed());
        assert!(peer.received().is_empty(), "the answer waits");
        in_time(stream.write_all(b"response")).await.unwrap();
        in_time(stream.flush()).await.unwrap();
        expect_eof(&mut stream).await;
        assert!(!peer.is_shut_down());
        in_time(stream.shutdown()).await.unwrap();
        let frames = peer.frames();
        assert_eq!(frames::payload(&frames), b"response");
        assert_eq!(close_payload(&frames), 1001u16.to_be_bytes());
        assert_eq!(peer.is_shut_down(), role == Role::Server);
        expect_broken_pipe(&mut stream).await;
    }
}

over_all!(request_shutdown_response_works_between_two_streams_in_half_close_mode);
async fn request_shutdown_response_works_between_two_streams_in_half_close_mode(over: Over) {
    for server_mode in [true, false] {
        let config = Config::new().half_close(true);
        let (mut client, mut server) = joined_over(over, 100, config);
        let (caller, callee) =
            if server_mode { (&mut client, &mut server) } else { (&mut server, &mut client) };
        in_time(async {
            let request = bytes(10_000);
            let call = async {
                caller.write_all(&request).await.unwrap();
                caller.shutdown().await.unwrap();
                let mut response = Vec::new();
                caller.read_to_end(&mut response).await.unwrap();
                assert!(response == bytes(20_000));
            };
            let serve = async {
                let mut received = Vec::new();
                callee.read_to_end(&mut received).await.unwrap();
                assert!(received == request);
                callee.write_all(&bytes(20_000)).await.unwrap();
                callee.shutdown().await.unwrap();
            };
            tokio::join!(call, serve);
        })
        .await;
    }
}

over_all!(close_is_the_whole_closing_handshake);
async fn close_is_the_whole_closing_handshake(over: Over) {
    for role in ROLES {
        let (mut stream, peer) = stream_over(over, role, PayloadType::Binary);
        in_time(stream.write_all(b"last words")).await.unwrap();
        let mut close = task::spawn(stream.close(CloseCode::Error, "out of order"));
        assert_pending!(settle_future(&mut close));
        let frames = peer.frames();
        assert_eq!(frames::payload(&frames), b"last words");
        assert_eq!(close_payload(&frames), frames::close_payload(1011, "out of order"));
        // Data is dropped until the peer's Close.
        for _ in 0..100 {
            peer.send(&frames::to(role, BINARY, &bytes(3_000)));
        }
        assert_pending!(settle_future(&mut close));
        assert!(!peer.is_shut_down());
        peer.send(&frames::close_to(role, 1011, ""));
        assert_ready_ok!(settle_future(&mut close));
        drop(close);
        assert!(peer.is_shut_down());
        assert!(stream.is_closed());
        expect_eof(&mut stream).await;
        in_time(stream.close(1000, "")).await.unwrap();
        assert!(peer.received().is_empty());
    }
}

#[test]
fn a_close_lets_other_tasks_have_their_turn_while_it_drops_what_comes() {
    for role in ROLES {
        let (mut stream, peer) = binary(role);
        peer.send(&frames::to(role, BINARY, &vec![7; 4 << 20]));
        peer.send(&frames::close_to(role, 1000, ""));
        let mut closing = task::spawn(stream.close(1000, ""));
        let mut turns = 0;
        while closing.poll().is_pending() {
            assert!(closing.is_woken());
            let (reads, _) = peer.polls();
            turns += 1;
            assert!(reads <= turns * 50, "{reads} reads in {turns} turns");
        }
        assert!(turns > 10);
    }
}

over_all!(close_after_the_peers_close_ends_the_transport);
async fn close_after_the_peers_close_ends_the_transport(over: Over) {
    for role in ROLES {
        let (mut stream, peer) = stream_over(over, role, PayloadType::Binary);
        peer.send(&frames::close_to(role, 1000, ""));
        expect_eof(&mut stream).await;
        in_time(stream.close(1000, "")).await.unwrap();
        assert!(peer.is_shut_down());
        assert_eq!(peer.frames().len(), 1);
    }
}

over_all!(close_says_so_if_the_peer_never_answers);
async fn close_says_so_if_the_peer_never_answers(over: Over) {
    for role in ROLES {
        let (mut stream, peer) = stream_over(over, role, PayloadType::Binary);
        peer.send(&frames::to(role, BINARY, b"unread"));
        peer.end();
        let error = in_time(stream.close(1000, "")).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
        assert!(peer.is_shut_down());
        assert_eq!(peer.frames().len(), 1);
    }
}

#[tokio::test]
async fn a_flush_that_fails_because_the_peer_has_answered_our_close_is_no_error_of_close() {
    for role in ROLES {
        // As an HTTP/2 server does that resets the stream once both Closes are through.
        let (mut stream, peer) = binary(role);
        peer.buffering();
        peer.fail_flushes(ErrorKind::Other);
        let mut close = task::spawn(stream.close(1000, ""));
        assert_pending!(close.poll());
        peer.send(&frames::close_to(role, 1000, ""));
        assert_ready_ok!(close.poll());

        // Without the peer's Close it is one.
        let (mut stream, peer) = binary(role);
        peer.fail_flushes(ErrorKind::Other);
        peer.end();
        let error = in_time(stream.close(1000, "")).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
    }
}

#[tokio::test]
async fn a_shutdown_whose_flush_fails_asks_what_the_peer_said() {
    for role in ROLES {
        let (mut stream, peer) = binary(role);
        peer.fail_flushes(ErrorKind::ConnectionReset);
        let error = in_time(stream.shutdown()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset, "nothing");

        let (mut stream, peer) = binary(role);
        peer.fail_flushes(ErrorKind::ConnectionReset);
        peer.end();
        let error = in_time(stream.shutdown()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset, "it ended without a Close");

        // An HTTP/2 server that has our Close resets the stream behind its own.
        for payload in [&b""[..], &bytes(20_000)] {
            let (mut stream, peer) = binary(role);
            peer.fail_flushes(ErrorKind::Other);
            peer.send(&frames::to(role, BINARY, payload));
            peer.send(&frames::close_to(role, 1000, ""));
            in_time(stream.shutdown()).await.unwrap();
            let mut received = Vec::new();
            in_time(stream.read_to_end(&mut received)).await.unwrap();
            assert!(received == payload, "nothing of it is lost");
            in_time(stream.shutdown()).await.unwrap();
        }
    }
}

#[test]
fn a_shutdown_that_asks_what_the_peer_said_leaves_the_reader_its_wake_up() {
    for role in ROLES {
        let (mut stream, peer) = binary(role);
        let mut memory = [0; 9];
        let mut buf = ReadBuf::new(&mut memory);
        let (mut reader, mut writer) = (task::spawn(()), task::spawn(()));
        assert_pending!(reader.enter(|cx, _| Pin::new(&mut stream).poll_read(cx, &mut buf)));
        peer.fail_flushes(ErrorKind::Other);
        assert_ready_err!(writer.enter(|cx, _| Pin::new(&mut stream).poll_shutdown(cx)));
        peer.send(&frames::close_to(role, 1000, ""));
        assert!(reader.is_woken());
        assert_ready_ok!(reader.enter(|cx, _| Pin::new(&mut stream).poll_read(cx, &mut buf)));
    }
}

#[tokio::test]
async fn a_shutdown_whose_close_nobody_is_left_to_take_is_no_error() {
    for (role, half_close) in ROLES.into_iter().flat_map(|role| [(role, false), (role, true)]) {
        for kind in [ErrorKind::BrokenPipe, ErrorKind::ConnectionReset] {
            // The peer has sent its Close and left; the reader has come to what was before.
            let (mut stream, peer) = stream(role, Config::new().half_close(half_close));
            peer.send(&frames::to(role, BINARY, b"bye"));
            peer.send(&frames::close_to(role, 1000, ""));
            peer.read_at_most(5);
            in_time(stream.read_exact(&mut [0; 3])).await.unwrap();
            peer.fail_writes(kind);
            in_time(stream.shutdown()).await.unwrap();
            in_time(stream.shutdown()).await.unwrap();
            expect_eof(&mut stream).await;

            // It has left without: the reader is who learns it.
            let (mut stream, peer) = self::stream(role, Config::new().half_close(half_close));
            peer.fail_writes(kind);
            peer.fail_flushes(kind);
            for _ in 0..2 {
                in_time(stream.shutdown()).await.unwrap();
                in_time(stream.flush()).await.unwrap();
            }
            peer.end();
            let error = in_time(stream.read(&mut [0; 9])).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
            in_time(stream.close(1000, "")).await.unwrap_err();
        }
    }
}

#[tokio::test]
async fn a_shutdown_that_has_lost_payload_fails_whatever_the_peer_said() {
    for role in ROLES {
        let (mut stream, peer) = binary(role);
        peer.send(&frames::close_to(role, 1000, ""));
        peer.take_only(3);
        in_time(stream.write_all(b"payload")).await.unwrap();
        peer.fail_writes(ErrorKind::BrokenPipe);
        in_time(stream.shutdown()).await.unwrap_err();

        // Payload that is in a buffer of the transport is lost as well, whoever ends the stream.
        let buffered = || {
            let (wire, peer) = Wire::new();
            let io = tokio::io::BufStream::new(wire);
            (WebSocketStream::after_handshake(io, role, Config::new()), peer)
        };
        let (mut shut_down, one) = buffered();
        let (mut closed, other) = buffered();
        for (stream, peer) in [(&mut shut_down, one), (&mut closed, other)] {
            in_time(stream.write_all(b"payload")).await.unwrap();
            peer.send(&frames::close_to(role, 1000, ""));
            peer.fail_writes(ErrorKind::BrokenPipe);
        }
        let error = in_time(shut_down.shutdown()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::BrokenPipe);
        let error = in_time(closed.close(1000, "")).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::BrokenPipe);
    }
}

over_all!(a_close_reads_on_while_payload_waits_for_the_transport);
async fn a_close_reads_on_while_payload_waits_for_the_transport(over: Over) {
    // hyper sees to the payload, and its windows are told over the line that takes nothing.
    if over == Over::Http2 {
        return;
    }
    for role in ROLES {
        for half_close in [false, true] {
            let (mut stream, peer) = stream_over(over, role, Config::new().half_close(half_close));
            peer.take_only(3);
            in_time(stream.write_all(b"payload")).await.unwrap();
            let mut close = task::spawn(stream.close(4000, "enough"));
            assert_pending!(settle_future(&mut close));
            // The peer's Close comes while ours is behind the payload, with more than it may hold.
            peer.send(&frames::to(role, BINARY, &bytes(100_000)));
            peer.send(&frames::close_to(role, 1000, ""));
            for _ in 0..10 {
                assert_pending!(settle_future(&mut close));
            }
            assert_eq!(peer.unread(), 0, "what comes is dropped");
            peer.take_all();
            assert!(close.is_woken());
            assert_ready_ok!(settle_future(&mut close));
            let frames = peer.frames();
            assert_eq!(frames::payload(&frames), b"payload");
            assert_eq!(close_payload(&frames), [&4000u16.to_be_bytes()[..], b"enough"].concat());
        }
    }
}

#[tokio::test]
async fn an_answering_shutdown_whose_flush_fails_is_no_error() {
    for role in ROLES {
        let (mut stream, peer) = half_closing(role);
        peer.send(&frames::close_to(role, 1000, ""));
        expect_eof(&mut stream).await;
        in_time(stream.write_all(b"response")).await.unwrap();
        in_time(stream.flush()).await.unwrap();
        peer.fail_flushes(ErrorKind::Other);
        in_time(stream.shutdown()).await.unwrap();
    }
}

over_all!(close_refuses_what_may_not_be_sent);
async fn close_refuses_what_may_not_be_sent(over: Over) {
    for role in ROLES {
        let (mut stream, peer) = stream_over(over, role, PayloadType::Binary);
        for code in [0, 999, 1004, 1005, 1006, 1015, 2999, 5000] {
            let error = in_time(stream.close(code, "")).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput);
            assert_eq!(cause(&error), &Error::InvalidCloseCode(code));
        }
        let error = in_time(stream.close(1000, &"x".repeat(124))).await.unwrap_err();
        assert_eq!(cause(&error), &Error::CloseReasonTooLong(124));
        assert!(peer.received().is_empty());
        in_time(stream.write_all(b"fine")).await.unwrap();

        peer.send(&frames::close_to(role, 1000, ""));
        in_time(stream.close(4000, &"x".repeat(123))).await.unwrap();
        let frames = peer.frames();
        assert_eq!(close_payload(&frames), frames::close_payload(4000, &"x".repeat(123)));
    }
}

over_all!(close_reads_while_its_own_close_waits_for_the_transport);
async fn close_reads_while_its_own_close_waits_for_the_transport(over: Over) {
    // Both sides have full pipes and close: neither may wait for the other to read first.
    let (mut client, mut server) = joined_over(over, 100, PayloadType::Binary);
    let fill = |stream: &mut WebSocketStream<_>| {
        let mut writer = task::spawn(());
        while settle(&mut writer, |cx| Pin::new(&mut *stream).poll_write(cx, &[3; 9_000]))
            .is_ready()
        {}
    };
    fill(&mut client);
    fill(&mut server);
    let (a, b) =
        in_time(async { tokio::join!(client.close(1000, ""), server.close(1000, "")) }).await;
    a.unwrap();
    b.unwrap();
}

#[tokio::test]
async fn errors_of_the_transport_keep_their_kind() {
    for role in ROLES {
        let (mut stream, peer) = binary(role);
        peer.send(&frames::to(role, BINARY, b"before"));
        peer.fail_reads(ErrorKind::ConnectionReset);
        let mut received = Vec::new();
        let error = in_time(stream.read_to_end(&mut received)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
        assert_eq!(received, b"before");
        let error = in_time(stream.read(&mut [0; 9])).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
        assert_eq!(cause(&error), &Error::Transport(ErrorKind::ConnectionReset));
        expect_broken_pipe(&mut stream).await;

        let (mut stream, peer) = binary(role);
        peer.fail_writes(ErrorKind::ConnectionAborted);
        let error = in_time(stream.write(b"x")).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionAborted);
        expect_broken_pipe(&mut stream).await;
        // What has come can still be read.
        peer.send(&frames::to(role, BINARY, b"y"));
        assert_eq!(in_time(stream.read_u8()).await.unwrap(), b'y');
    }
}

#[tokio::test]
async fn a_timeout_of_a_read_is_not_the_end() {
    for role in ROLES {
        let (mut stream, peer) = binary(role);
        peer.fail_reads(ErrorKind::TimedOut);
        assert_eq!(in_time(stream.read_u8()).await.unwrap_err().kind(), ErrorKind::TimedOut);
        peer.send(&frames::to(role, BINARY, b"y"));
        assert_eq!(in_time(stream.read_u8()).await.unwrap(), b'y');
        in_time(stream.write_all(b"z")).await.unwrap();
    }
}

#[tokio::test]
async fn an_error_met_while_reading_is_the_writers() {
    for role in ROLES {
        let (mut stream, peer) = binary(role);
        peer.send(&frames::to(role, PING, b"?"));
        peer.send(&frames::to(role, BINARY, b"data"));
        peer.fail_writes(ErrorKind::ConnectionReset);
        let mut received = [0; 4];
        in_time(stream.read_exact(&mut received)).await.unwrap();
        assert_eq!(&received, b"data");
        let error = in_time(stream.write(b"x")).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
        expect_broken_pipe(&mut stream).await;
    }
}

over_all!(after_a_fatal_error_nothing_hangs);
async fn after_a_fatal_error_nothing_hangs(over: Over) {
    for role in ROLES {
        let (mut stream, peer) = stream_over(over, role, PayloadType::Binary);
        peer.send(&[0xff; 2]);
        let mut memory = [0; 9];
        let mut buf = ReadBuf::new(&mut memory);
        let mut task = task::spawn(());
        for _ in 0..3 {
            let read = settle(&mut task, |cx| Pin::new(&mut stream).poll_read(cx, &mut buf));
            assert_ready_err!(read);
            assert_ready_err!(settle(&mut task, |cx| Pin::new(&mut stream).poll_write(cx, b"x")));
            assert_ready_ok!(settle(&mut task, |cx| Pin::new(&mut stream).poll_flush(cx)));
            assert_ready_ok!(settle(&mut task, |cx| Pin::new(&mut stream).poll_shutdown(cx)));
        }
        let mut close = task::spawn(stream.close(1000, ""));
        let error = assert_ready!(settle_future(&mut close)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidData);
    }
}

#[tokio::test]
async fn after_a_flush_that_failed_nothing_is_written() {
    for role in ROLES {
        let (mut stream, peer) = binary(role);
        peer.fail_flushes(ErrorKind::ConnectionReset);
        let error = stream.flush().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
        expect_broken_pipe(&mut stream).await;
        assert!(peer.received().is_empty());
    }
}

over_all!(reading_never_waits_for_the_echo_to_be_taken);
async fn reading_never_waits_for_the_echo_to_be_taken(over: Over) {
    for role in ROLES {
        let (mut stream, peer) = stream_over(over, role, PayloadType::Binary);
        peer.take_only(0);
        peer.send(&frames::to(role, PING, b"?"));
        peer.send(&frames::close_to(role, 1000, ""));
        let mut memory = [0; 9];
        let mut buf = ReadBuf::new(&mut memory);
        let mut task = task::spawn(());
        assert_ready_ok!(settle(&mut task, |cx| Pin::new(&mut stream).poll_read(cx, &mut buf)));
        assert!(buf.filled().is_empty());
        let frames = {
            peer.take_all();
            assert_ready_ok!(settle(&mut task, |cx| Pin::new(&mut stream).poll_shutdown(cx)));
            peer.frames()
        };
        assert_eq!((frames[0].opcode, frames[1].opcode), (PONG, CLOSE));
    }
}
