//! Dropping a future at any point loses, repeats and corrupts nothing.

use crate::{
    common::{
        ROLES, bytes,
        frames::{self, BINARY, CLOSE, PING, PONG, TEXT},
        transports::PendingEveryOther,
    },
    over::{Boxed, Over, OverPeer, in_time, once, transport_over},
    over_all,
};
use fastwebsockets_stream::{PayloadType, WebSocketStream, fastwebsockets::Role};
use std::io;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// A transport with pauses. Over single bytes every byte of a frame is a point to drop at.
type Slow = PendingEveryOther<Boxed>;

fn slow(over: Over, role: Role, payload_type: PayloadType) -> (WebSocketStream<Slow>, OverPeer) {
    let (io, peer) = transport_over(over, role);
    let io = PendingEveryOther::new(io);
    (WebSocketStream::after_handshake(io, role, payload_type), peer)
}

/// Polls `operation` on the stream, each time as a new future, until it is done.
fn until_done<S, T>(
    stream: &mut WebSocketStream<S>,
    mut operation: impl FnMut(&mut WebSocketStream<S>) -> Option<io::Result<T>>,
) -> T {
    for _ in 0..100_000 {
        if let Some(result) = operation(stream) {
            return result.unwrap();
        }
    }
    panic!("never done");
}

over_all!(dropped_reads_lose_nothing);
async fn dropped_reads_lose_nothing(over: Over) {
    for role in ROLES {
        let (mut stream, peer) = slow(over, role, PayloadType::Text);
        let text = "dropped in heads, in payloads, in code points: é€😀".repeat(3);
        for (i, fragment) in text.as_bytes().chunks(10).enumerate() {
            let opcode = if i == 0 { TEXT } else { frames::CONTINUATION };
            peer.send(&frames::fragment_to(role, opcode, fragment));
            peer.send(&frames::to(role, PING, &[i as u8]));
        }
        peer.send(&frames::to(role, frames::CONTINUATION, b""));
        peer.send(&frames::close_to(role, 1000, "in the Close, too"));
        let mut received = Vec::new();
        let mut sizes = [1, 3, 100].into_iter().cycle();
        loop {
            let mut buffer = vec![0; sizes.next().unwrap()];
            let n = until_done(&mut stream, |stream| once(stream.read(&mut buffer)));
            if n == 0 {
                break;
            }
            received.extend_from_slice(&buffer[..n]);
        }
        assert_eq!(String::from_utf8(received).unwrap(), text);
        until_done(&mut stream, |stream| once(stream.flush()));
        let answers = peer.frames();
        assert!(answers.iter().any(|frame| frame.opcode == PONG));
        assert_eq!(answers.last().unwrap().opcode, CLOSE);
    }
}

over_all!(a_dropped_write_has_consumed_nothing_or_returned);
async fn a_dropped_write_has_consumed_nothing_or_returned(over: Over) {
    for role in ROLES {
        for payload_type in [PayloadType::Binary, PayloadType::Text] {
            let (mut stream, peer) = slow(over, role, payload_type);
            let mut reported = Vec::new();
            for round in 0..400usize {
                // Each try writes something else, as a `select!` would.
                let data = format!("{round}é€😀").repeat(round % 30 + 1).into_bytes();
                let data = &data[..data.len() - data.len() % 4];
                let data = match std::str::from_utf8(data) {
                    Ok(_) => data,
                    Err(error) => &data[..error.valid_up_to()],
                };
                if let Some(n) = once(stream.write(data)) {
                    reported.extend_from_slice(&data[..n.unwrap()]);
                }
            }
            until_done(&mut stream, |stream| once(stream.flush()));
            let frames = peer.frames();
            assert!(frames::payload(&frames) == reported);
        }
    }
}

over_all!(without_a_flush_whole_frames_of_what_was_reported_are_sent);
async fn without_a_flush_whole_frames_of_what_was_reported_are_sent(over: Over) {
    for role in ROLES {
        let (mut stream, peer) = slow(over, role, PayloadType::Binary);
        let mut reported = Vec::new();
        for round in 0..200u8 {
            let data = [round; 50];
            if let Some(n) = once(stream.write(&data)) {
                reported.extend_from_slice(&data[..n.unwrap()]);
            }
        }
        drop(stream);
        let sent = peer.received();
        let (frames, cut_off) = frames::parse_some(&sent);
        let payload = frames::payload(&frames);
        assert!(reported.starts_with(&payload));
        assert!(cut_off.len() < 60, "the transport ended within one frame");
    }
}

over_all!(dropped_flushes_and_shutdowns_send_one_close_after_everything);
async fn dropped_flushes_and_shutdowns_send_one_close_after_everything(over: Over) {
    for role in ROLES {
        let (mut stream, peer) = slow(over, role, PayloadType::Binary);
        let sent = bytes(300);
        until_done(&mut stream, |stream| once(stream.write(&sent)));
        for _ in 0..20 {
            let _dropped = once(stream.flush());
        }
        until_done(&mut stream, |stream| once(stream.shutdown()));
        until_done(&mut stream, |stream| once(stream.shutdown()));
        let frames = peer.frames();
        assert_eq!(frames.len(), 2);
        assert!(frames[0].payload == sent);
        assert_eq!((frames[1].opcode, &frames[1].payload[..]), (CLOSE, &[3, 0xe8][..]));
    }
}

over_all!(a_dropped_close_goes_on);
async fn a_dropped_close_goes_on(over: Over) {
    for role in ROLES {
        let (mut stream, peer) = slow(over, role, PayloadType::Binary);
        until_done(&mut stream, |stream| once(stream.write(b"before")));
        peer.send(&frames::to(role, BINARY, b"dropped"));
        for _ in 0..100 {
            assert!(once(stream.close(4321, "reason")).is_none(), "the peer's Close is missing");
        }
        let sent = peer.frames();
        assert_eq!(sent.len(), 2);
        assert_eq!(sent[1].payload, frames::close_payload(4321, "reason"));
        assert!(!peer.is_shut_down());
        peer.send(&frames::close_to(role, 4321, ""));
        until_done(&mut stream, |stream| once(stream.close(4321, "reason")));
        assert!(peer.is_shut_down());
        assert!(peer.received().is_empty());
    }
}

over_all!(select_between_a_read_and_a_timer_loses_nothing);
async fn select_between_a_read_and_a_timer_loses_nothing(over: Over) {
    for role in ROLES {
        let (mut stream, peer) = slow(over, role, PayloadType::Binary);
        let sent = bytes(2_000);
        for payload in sent.chunks(300) {
            peer.send(&frames::to(role, BINARY, payload));
        }
        let mut received = Vec::new();
        let mut buffer = [0; 16];
        in_time(async {
            while received.len() < sent.len() {
                tokio::select! {
                    biased;
                    n = stream.read(&mut buffer) => received.extend_from_slice(&buffer[..n.unwrap()]),
                    () = tokio::task::yield_now() => {}
                }
            }
        })
        .await;
        assert!(received == sent);
    }
}
