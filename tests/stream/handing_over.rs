//! From a fastwebsockets socket, and back to one.

use crate::common::{
    ROLES, bytes, cause,
    frames::{self, BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT},
    in_time,
    transports::{Peer, Wire},
};
use fastwebsockets_stream::{
    Config, Error, PayloadType, Violation, WebSocketStream,
    fastwebsockets::{Frame, OpCode, Payload, Role, WebSocket},
};
use std::io::ErrorKind;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt};

fn socket(role: Role) -> (WebSocket<Wire>, Peer) {
    let (wire, peer) = Wire::new();
    (WebSocket::after_handshake(wire, role), peer)
}

/// A socket that has read one frame, and with it all that the peer had sent.
async fn read_ahead(role: Role, behind: &[u8]) -> (WebSocket<Wire>, Peer) {
    let (mut ws, peer) = socket(role);
    peer.send(&frames::to(role, TEXT, b"first"));
    peer.send(behind);
    let frame = in_time(ws.read_frame()).await.unwrap();
    assert_eq!(&frame.payload[..], b"first");
    (ws, peer)
}

#[tokio::test]
async fn the_role_of_any_socket_is_found() {
    for role in ROLES {
        for auto_apply_mask in [true, false] {
            for writev in [true, false] {
                let (mut ws, peer) = socket(role);
                ws.set_auto_apply_mask(auto_apply_mask);
                ws.set_writev(writev);
                ws.set_writev_threshold(0);
                let mut stream = WebSocketStream::new(ws, PayloadType::Binary);
                assert!(stream.role() == role);
                assert_eq!(stream.payload_type(), PayloadType::Binary);
                assert!(peer.received().is_empty(), "nothing is sent for it");
                in_time(stream.write_all(b"x")).await.unwrap();
                assert_eq!(peer.frames()[0].masked, role == Role::Client);
            }
        }
    }
}

#[tokio::test]
async fn whole_frames_that_the_socket_had_buffered_are_delivered() {
    for role in ROLES {
        let behind = [
            frames::fragment_to(role, BINARY, b"buffered "),
            frames::to(role, PING, b"buffered too"),
            frames::to(role, CONTINUATION, &bytes(3000)),
            frames::to(role, PONG, b""),
            frames::to(role, BINARY, b""),
            frames::to(role, BINARY, b" and more"),
        ]
        .concat();
        let (ws, peer) = read_ahead(role, &behind).await;
        let mut stream = WebSocketStream::new(ws, PayloadType::Binary);
        peer.send(&frames::to(role, BINARY, b", then new"));
        peer.send(&frames::close_to(role, 1000, ""));
        let mut received = Vec::new();
        in_time(stream.read_to_end(&mut received)).await.unwrap();
        assert!(received == [b"buffered ", &bytes(3000)[..], b" and more, then new"].concat());
        let answers = peer.frames();
        assert_eq!((answers[0].opcode, &answers[0].payload[..]), (PONG, &b"buffered too"[..]));
        assert_eq!((answers[1].opcode, answers.len()), (CLOSE, 2));
    }
}

#[tokio::test]
async fn a_socket_with_other_options_hands_over_the_same() {
    for role in ROLES {
        let behind = [
            frames::to(role, TEXT, "gepuffert €".as_bytes()),
            frames::to(role, PING, b"!"),
            frames::close_to(role, 4000, "why"),
        ]
        .concat();
        let (mut ws, peer) = read_ahead(role, &behind).await;
        ws.set_auto_apply_mask(false);
        ws.set_auto_pong(false);
        ws.set_auto_close(false);
        let mut stream = WebSocketStream::new(ws, PayloadType::Text);
        let mut line = String::new();
        in_time(stream.read_line(&mut line)).await.unwrap();
        assert_eq!(line, "gepuffert €");
        assert_eq!(stream.close_frame().unwrap().reason(), "why");
        let answers = peer.frames();
        assert_eq!((answers[0].opcode, answers[1].opcode), (PONG, CLOSE));
    }
}

#[tokio::test]
async fn a_socket_in_the_middle_of_a_frame_fails_the_first_read_after_whole_frames() {
    for role in ROLES {
        let whole = frames::to(role, BINARY, b"whole");
        for part in [frames::to(role, BINARY, &bytes(300)), frames::to(role, PING, b"ping")] {
            for cut in 1..part.len() {
                let (ws, peer) = read_ahead(role, &[&whole[..], &part[..cut]].concat()).await;
                let mut stream = WebSocketStream::new(ws, PayloadType::Binary);
                peer.send(&part[cut..]);
                let mut received = Vec::new();
                for _ in 0..2 {
                    let error = in_time(stream.read_to_end(&mut received)).await.unwrap_err();
                    assert_eq!(error.kind(), ErrorKind::InvalidData, "cut at {cut}");
                    assert_eq!(cause(&error), &Error::HandedOverInFrame, "cut at {cut}");
                }
                assert_eq!(received, b"whole");
                let error = in_time(stream.write(b"x")).await.unwrap_err();
                assert_eq!(error.kind(), ErrorKind::BrokenPipe);
                assert_eq!(peer.frames()[0].opcode, CLOSE);
            }
        }
    }
}

/// The pong takes in what marks the end of the socket's bytes.
#[tokio::test]
async fn a_pong_that_has_begun_is_not_taken_for_the_end_of_what_was_buffered() {
    for role in ROLES {
        let pong = frames::to(role, PONG, &[7; 18]);
        let (ws, _peer) = read_ahead(role, &pong[..pong.len() - 18]).await;
        let mut stream = WebSocketStream::new(ws, PayloadType::Binary);
        let error = in_time(stream.read_u8()).await.unwrap_err();
        assert_eq!(cause(&error), &Error::HandedOverInFrame);
    }
}

#[tokio::test]
async fn a_socket_whose_read_was_dropped_in_a_frame_is_noticed() {
    for role in ROLES {
        let part = frames::to(role, BINARY, &bytes(300));
        for cut in 1..part.len() {
            let (mut ws, peer) = socket(role);
            peer.send(&part[..cut]);
            let _dropped = tokio_test::task::spawn(ws.read_frame()).poll();
            let mut stream = WebSocketStream::new(ws, PayloadType::Binary);
            peer.send(&part[cut..]);
            let result = in_time(stream.read(&mut [0; 400])).await;
            assert_eq!(result.unwrap_err().kind(), ErrorKind::InvalidData, "cut at {cut}");
        }
    }
}

#[tokio::test]
async fn violations_among_the_buffered_bytes_are_noticed() {
    for role in ROLES {
        let spoilt = |first: u8| {
            let mut frame = frames::to(role, BINARY, b"x");
            frame[0] = first;
            frame
        };
        for (bad, violation) in [
            (spoilt(0xc2), Violation::ReservedBits),
            (spoilt(0x83), Violation::ReservedOpcode),
            (spoilt(0x09), Violation::FragmentedControl),
            (spoilt(0x81), Violation::WrongPayloadType),
            (spoilt(0x80), Violation::UnexpectedContinuation),
            (frames::to(role, TEXT, b"\xff"), Violation::InvalidUtf8),
            (frames::to(role, PING, &[0; 126]), Violation::ControlTooLong),
        ] {
            let whole = frames::to(role, BINARY, b"whole");
            let (ws, peer) = read_ahead(role, &[whole, bad].concat()).await;
            let mut stream = WebSocketStream::new(ws, PayloadType::Binary);
            let mut received = Vec::new();
            let error = in_time(stream.read_to_end(&mut received)).await.unwrap_err();
            assert_eq!(cause(&error), &Error::Protocol(violation));
            assert_eq!(received, b"whole");
            assert_eq!(peer.frames()[0].payload, violation.close_code().to_be_bytes());
        }
    }
    // The masking rules, which fastwebsockets doesn't check.
    let (ws, _peer) = read_ahead(Role::Server, &frames::unmasked(BINARY, b"x")).await;
    let error = in_time(WebSocketStream::new(ws, PayloadType::Binary).read_u8()).await.unwrap_err();
    assert_eq!(cause(&error), &Error::Protocol(Violation::UnmaskedFrame));
    let (ws, _peer) = read_ahead(Role::Client, &frames::masked(BINARY, b"x")).await;
    let error = in_time(WebSocketStream::new(ws, PayloadType::Binary).read_u8()).await.unwrap_err();
    assert_eq!(cause(&error), &Error::Protocol(Violation::MaskedFrame));
}

#[tokio::test]
async fn a_socket_that_has_sent_close_sends_nothing_more() {
    for role in ROLES {
        let (mut ws, peer) = socket(role);
        in_time(ws.write_frame(Frame::close(1000, b"bye"))).await.unwrap();
        assert_eq!(peer.frames().len(), 1);
        let mut stream = WebSocketStream::with_config(ws, Config::new());
        let error = in_time(stream.write(b"x")).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::BrokenPipe);
        in_time(stream.shutdown()).await.unwrap();
        peer.send(&frames::to(role, BINARY, b"still coming"));
        peer.send(&frames::to(role, PING, b"?"));
        peer.send(&frames::close_to(role, 1000, ""));
        let mut received = Vec::new();
        in_time(stream.read_to_end(&mut received)).await.unwrap();
        assert_eq!(received, b"still coming");
        assert!(peer.received().is_empty());
        assert_eq!(peer.is_shut_down(), role == Role::Server);
    }
}

#[tokio::test]
async fn a_close_that_the_socket_has_sent_is_flushed() {
    for role in ROLES {
        let (mut ws, peer) = socket(role);
        peer.buffering();
        in_time(ws.write_frame(Frame::close(1000, b"bye"))).await.unwrap();
        let mut stream = WebSocketStream::new(ws, PayloadType::Binary);
        in_time(stream.shutdown()).await.unwrap();
        assert_eq!(peer.frames()[0].opcode, CLOSE);
    }
}

#[tokio::test]
async fn a_head_that_claims_any_length_is_the_start_of_a_frame() {
    for role in ROLES {
        for claimed in [60 << 20, (1 << 63) - 1] {
            let head = frames::head_to(role, BINARY, claimed);
            let (mut ws, _peer) = read_ahead(role, &head).await;
            ws.set_max_message_size(usize::MAX);
            let mut stream = WebSocketStream::new(ws, PayloadType::Binary);
            let error = in_time(stream.read_u8()).await.unwrap_err();
            assert_eq!(cause(&error), &Error::HandedOverInFrame);
        }
    }
}

#[tokio::test]
async fn buffered_reading_goes_on_in_large_steps_after_what_the_socket_left() {
    for role in ROLES {
        let (ws, peer) = read_ahead(role, &frames::to(role, BINARY, b"x")).await;
        let mut stream = WebSocketStream::new(ws, PayloadType::Binary);
        peer.send(&frames::to(role, BINARY, &bytes(60_000)));
        let (reads, mut read) = (peer.polls().0, 0);
        while read < 60_001 {
            let len = in_time(stream.fill_buf()).await.unwrap().len();
            stream.consume(len);
            read += len;
        }
        assert!(peer.polls().0 - reads < 15, "{} reads", peer.polls().0 - reads);
    }
}

#[tokio::test]
async fn into_inner_gives_back_a_socket_with_the_right_role() {
    for role in ROLES {
        let (ws, peer) = socket(role);
        let mut stream = WebSocketStream::new(ws, PayloadType::Binary);
        in_time(stream.write_all(b"by the stream")).await.unwrap();
        peer.send(&frames::to(role, BINARY, b"to the stream"));
        in_time(stream.read_exact(&mut [0; 13])).await.unwrap();

        let mut ws = stream.into_inner().expect("nothing is buffered");
        let text = Frame::text(Payload::Borrowed(b"by the socket"));
        in_time(ws.write_frame(text)).await.unwrap();
        peer.send(&frames::to(role, TEXT, b"to the socket"));
        let frame = in_time(ws.read_frame()).await.unwrap();
        assert_eq!((frame.opcode, &frame.payload[..]), (OpCode::Text, &b"to the socket"[..]));
        let sent = peer.frames();
        assert_eq!(sent[0].payload, b"by the stream");
        assert_eq!(sent[1].payload, b"by the socket");
        assert_eq!(sent[1].masked, role == Role::Client);
    }
}

#[tokio::test]
async fn into_inner_gives_nothing_back_if_something_would_be_lost() {
    for role in ROLES {
        let new = || {
            let (ws, peer) = socket(role);
            (WebSocketStream::new(ws, PayloadType::Text), peer)
        };

        let (mut stream, peer) = new();
        peer.send(&frames::to(role, TEXT, b"line one\nline two"));
        in_time(stream.read_line(&mut String::new())).await.unwrap();
        assert!(stream.into_inner().is_none(), "unread payload");

        let (mut stream, peer) = new();
        peer.send(&frames::to(role, TEXT, b"half read"));
        in_time(stream.read_exact(&mut [0; 4])).await.unwrap();
        assert!(stream.into_inner().is_none(), "a frame half read");

        let (mut stream, peer) = new();
        let mut two = frames::to(role, TEXT, b"one");
        two.push(0x81);
        peer.send(&two);
        in_time(stream.read(&mut [0; 100])).await.unwrap();
        assert!(stream.into_inner().is_none(), "a head half read");

        let (mut stream, peer) = new();
        peer.send(&frames::fragment_to(role, TEXT, b"fragment"));
        in_time(stream.read_exact(&mut [0; 8])).await.unwrap();
        assert!(stream.into_inner().is_none(), "a message half read");

        let (mut stream, peer) = new();
        peer.take_only(2);
        in_time(stream.write_all(b"half written")).await.unwrap();
        assert!(stream.into_inner().is_none(), "a frame half written");

        let (mut stream, _peer) = new();
        in_time(stream.write_all(b"\xe2\x82")).await.unwrap();
        assert!(stream.into_inner().is_none(), "a code point half written");

        let (mut stream, peer) = new();
        let close = frames::close_to(role, 1000, "");
        peer.send(&[frames::to(role, TEXT, b"last words"), close].concat());
        in_time(stream.read(&mut [0; 100])).await.unwrap();
        assert!(stream.into_inner().is_none(), "a Close that came with the payload");

        let (mut stream, peer) = new();
        peer.send(b"\xff\xff");
        in_time(stream.read_u8()).await.unwrap_err();
        assert!(stream.into_inner().is_none(), "a violation");
    }
}
