//! The implementations, each reading what a peer sends over a wire that cuts it where it likes.

use crate::{
    common::{
        self, cause,
        frames::{self, CLOSE, PONG},
        transports::{Peer, Wire},
    },
    judge::{End, Fault, Implementation, LIMIT, Outcome},
};
use fastwebsockets_stream::{Error, PayloadType, Violation, WebSocketStream, fastwebsockets::Role};
use futures_util::{FutureExt, Stream};
use rand::{Rng, SeedableRng, rngs::StdRng, seq::SliceRandom};
use std::{io, task::Poll};
use tokio::io::{AsyncBufRead, AsyncRead, ReadBuf};
use tokio_test::task;
use tokio_tungstenite::tungstenite::{self, protocol::Role as TheirRole};

/// What an implementation makes of these packets, and then the end of the transport.
pub(crate) fn read(
    implementation: Implementation,
    role: Role,
    payload_type: PayloadType,
    packets: &[&[u8]],
) -> Outcome {
    match implementation {
        Implementation::Ours => ours(role, payload_type, packets),
        Implementation::Tungstenite => tungstenite(role, packets),
        Implementation::TokioWebsockets => tokio_websockets(role, packets),
    }
}

fn ours(role: Role, payload_type: PayloadType, packets: &[&[u8]]) -> Outcome {
    let (stream, peer) = common::stream(role, payload_type);
    let mut stream = task::spawn(stream);
    // What the reader does depends on the packets alone, so that a seed says it all.
    let mut rng = StdRng::seed_from_u64(packets.len() as u64);
    let (mut payload, mut end) = (Vec::new(), None);
    for packet in packets.iter().map(Some).chain([None]) {
        match packet {
            Some(packet) => peer.send(packet),
            None => peer.end(),
        }
        while end.is_none() {
            let read = read_once(&mut stream, &mut rng, &mut payload);
            match read {
                Poll::Pending if stream.is_woken() => {}
                Poll::Pending => break,
                Poll::Ready(read) => end = end_of(&stream, read),
            }
        }
    }
    let end = end.expect("the transport has ended");
    // For ever.
    for _ in 0..2 {
        let len = payload.len();
        match read_once(&mut stream, &mut rng, &mut payload) {
            Poll::Pending => panic!("a read after the end waits"),
            Poll::Ready(read) => assert_eq!(end_of(&stream, read), Some(end)),
        }
        assert_eq!(payload.len(), len, "payload after the end");
    }
    outcome(payload, end, &peer)
}

/// A read of any size, by any of the ways there are. Says whether anything came.
fn read_once(
    stream: &mut task::Spawn<WebSocketStream<Wire>>,
    rng: &mut StdRng,
    payload: &mut Vec<u8>,
) -> Poll<io::Result<bool>> {
    if rng.gen_bool(0.2) {
        return stream.enter(|cx, mut stream| {
            let read = stream.as_mut().poll_fill_buf(cx).map_ok(|buffer| {
                let taken = rng.gen_range(0..=buffer.len()).max(buffer.len().min(1));
                payload.extend_from_slice(&buffer[..taken]);
                taken
            });
            if let Poll::Ready(Ok(taken)) = read {
                stream.consume(taken);
            }
            read.map_ok(|taken| taken > 0)
        });
    }
    let mut memory = vec![0; *[1, 7, 31, 32, 33, 500, 10_000, 100_000].choose(rng).unwrap()];
    let mut buf = ReadBuf::new(&mut memory);
    let read = stream.enter(|cx, stream| stream.poll_read(cx, &mut buf));
    payload.extend_from_slice(buf.filled());
    read.map_ok(|()| !buf.filled().is_empty())
}

fn end_of(stream: &WebSocketStream<Wire>, read: io::Result<bool>) -> Option<End> {
    match read {
        Ok(true) => None,
        Ok(false) => {
            let close = stream.close_frame().expect("end of file is a Close");
            Some(End::Closed(close.code().map(u16::from)))
        }
        Err(error) => {
            let cause = cause(&error);
            assert_eq!(error.kind(), cause.kind());
            Some(match cause {
                Error::Truncated => End::Truncated,
                Error::Protocol(violation) => End::Failed(match violation {
                    Violation::WrongPayloadType => Fault::Type,
                    Violation::InvalidUtf8 | Violation::InvalidCloseReason => Fault::Utf8,
                    _ => Fault::Protocol,
                }),
                other => panic!("{other}"),
            })
        }
    }
}

/// What the peers' readers give.
enum Item {
    Data(Vec<u8>),
    End(End),
    Other,
}

fn tungstenite(role: Role, packets: &[&[u8]]) -> Outcome {
    use tungstenite::{Error, Message, error::ProtocolError, protocol::WebSocketConfig};
    let (wire, peer) = Wire::new();
    let their_role = match role {
        Role::Server => TheirRole::Server,
        Role::Client => TheirRole::Client,
    };
    let config = WebSocketConfig::default()
        .read_buffer_size(4096)
        .max_frame_size(Some(LIMIT))
        .max_message_size(None);
    let ws = tokio_tungstenite::WebSocketStream::from_raw_socket(wire, their_role, Some(config));
    let ws = ws.now_or_never().expect("it only wraps");
    by_messages(ws, &peer, packets, |item| match item {
        Ok(Message::Binary(data)) => Item::Data(data.to_vec()),
        Ok(Message::Text(text)) => Item::Data(text.as_bytes().to_vec()),
        Ok(Message::Close(close)) => Item::End(End::Closed(close.map(|close| close.code.into()))),
        Ok(_) => Item::Other,
        Err(error) => Item::End(match error {
            Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => End::Truncated,
            Error::Protocol(_) => End::Failed(Fault::Protocol),
            Error::Utf8(_) => End::Failed(Fault::Utf8),
            Error::Capacity(_) => End::Failed(Fault::TooLong),
            other => panic!("{other}"),
        }),
    })
}

fn tokio_websockets(role: Role, packets: &[&[u8]]) -> Outcome {
    use tokio_websockets::{ClientBuilder, Error, Limits, ServerBuilder, proto::ProtocolError};
    let (wire, peer) = Wire::new();
    let limits = Limits::default().max_payload_len(Some(LIMIT));
    let ws = match role {
        Role::Server => ServerBuilder::new().limits(limits).serve(wire),
        Role::Client => ClientBuilder::new().limits(limits).take_over(wire),
    };
    by_messages(ws, &peer, packets, |item| match item {
        Ok(message) if message.is_close() => {
            // `as_close` calls it 1005 if there is none (section 7.1.5).
            let code = message.as_close().map(|(code, _)| u16::from(code));
            Item::End(End::Closed(code.filter(|code| *code != 1005)))
        }
        Ok(message) if message.is_text() || message.is_binary() => {
            Item::Data(message.into_payload().to_vec())
        }
        Ok(_) => Item::Other,
        Err(error) => Item::End(match error {
            Error::Io(_) => End::Truncated,
            Error::Protocol(ProtocolError::InvalidUtf8) => End::Failed(Fault::Utf8),
            Error::Protocol(_) => End::Failed(Fault::Protocol),
            Error::PayloadTooLong { .. } => End::Failed(Fault::TooLong),
            other => panic!("{other}"),
        }),
    })
}

fn by_messages<W, M, E>(
    ws: W,
    peer: &Peer,
    packets: &[&[u8]],
    read: impl Fn(Result<M, E>) -> Item,
) -> Outcome
where
    W: Stream<Item = Result<M, E>>,
{
    let mut ws = task::spawn(ws);
    let (mut payload, mut end) = (Vec::new(), None);
    for packet in packets.iter().map(Some).chain([None]) {
        match packet {
            Some(packet) => peer.send(packet),
            None => peer.end(),
        }
        while end.is_none() {
            match ws.poll_next() {
                Poll::Pending if ws.is_woken() => {}
                Poll::Pending => break,
                Poll::Ready(None) => end = Some(End::Truncated),
                Poll::Ready(Some(item)) => match read(item) {
                    Item::Data(data) => payload.extend(data),
                    Item::End(how) => end = Some(how),
                    Item::Other => {}
                },
            }
        }
    }
    // Their answer goes out with the next poll.
    let _ended = ws.poll_next();
    outcome(payload, end.expect("the transport has ended"), peer)
}

/// Looks at what was sent, too.
fn outcome(payload: Vec<u8>, end: End, peer: &Peer) -> Outcome {
    let (mut pongs, mut close) = (Vec::new(), None);
    for frame in peer.frames() {
        assert_eq!(close, None, "a frame after a Close");
        match frame.opcode {
            PONG => pongs.push(frame.payload),
            CLOSE => {
                let code = frame.payload.get(..2);
                close = Some(code.map(|code| u16::from_be_bytes(code.try_into().unwrap())));
            }
            other => panic!("nobody wrote a frame with the opcode {other}"),
        }
    }
    Outcome { payload, end, pongs, close }
}

/// Whether all frames are masked as they have to be.
pub(crate) fn are_masked(role: Role, bytes: &[u8]) -> bool {
    frames::parse(bytes).iter().all(|frame| frame.masked == (role == Role::Client))
}
