//! Pings are answered, whatever else goes on.

use crate::{
    common::{
        self, ROLES, bytes,
        frames::{self, BINARY, CLOSE, PING, PONG},
        stream,
    },
    over::{Over, in_time, settle, stream_over},
    over_all,
};
use fastwebsockets_stream::{PayloadType, WebSocketStream, fastwebsockets::Role};
use std::pin::Pin;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio_test::{assert_pending, assert_ready_ok, task};

/// Polls a read that finds no payload.
fn read_nothing<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut WebSocketStream<S>) {
    let mut memory = [0; 1024];
    let mut buf = ReadBuf::new(&mut memory);
    let mut reader = task::spawn(());
    assert_pending!(settle(&mut reader, |cx| Pin::new(&mut *stream).poll_read(cx, &mut buf)));
}

over_all!(a_pong_has_the_payload_of_its_ping_even_if_the_application_only_reads);
async fn a_pong_has_the_payload_of_its_ping_even_if_the_application_only_reads(over: Over) {
    for role in ROLES {
        for len in [0, 1, 4, 100, 125] {
            let (mut stream, peer) = stream_over(over, role, PayloadType::Binary);
            peer.send(&frames::to(role, PING, &bytes(len)));
            read_nothing(&mut stream);
            let frames = peer.frames();
            assert_eq!(frames.len(), 1);
            assert_eq!((frames[0].opcode, frames[0].fin), (PONG, true));
            assert_eq!(frames[0].masked, role == Role::Client);
            assert_eq!(frames[0].payload, bytes(len));
        }
    }
}

over_all!(every_ping_is_answered_while_the_transport_takes_the_answers);
async fn every_ping_is_answered_while_the_transport_takes_the_answers(over: Over) {
    for role in ROLES {
        let (mut stream, peer) = stream_over(over, role, PayloadType::Binary);
        let pings: Vec<u8> = (0..10u8).flat_map(|i| frames::to(role, PING, &[i; 5])).collect();
        peer.send(&pings);
        read_nothing(&mut stream);
        let answers = peer.frames();
        assert_eq!(answers.len(), 10);
        for (i, answer) in answers.iter().enumerate() {
            assert_eq!((answer.opcode, &answer.payload), (PONG, &vec![i as u8; 5]));
        }
    }
}

#[test]
fn a_pong_goes_between_frames_of_a_write_that_is_under_way() {
    for role in ROLES {
        let (mut stream, peer) = stream(role, PayloadType::Binary);
        peer.take_only(50_000);
        let mut writer = task::spawn(());
        let n = assert_ready_ok!(
            writer.enter(|cx, _| Pin::new(&mut stream).poll_write(cx, &bytes(200_000)))
        );
        assert_eq!(n, 200_000);
        peer.send(&frames::to(role, PING, b"now"));
        read_nothing(&mut stream);
        assert_eq!(peer.writes().concat().len(), 50_000, "nothing more is taken");
        // The reader's task alone brings out the rest of the frame, then the pong.
        peer.take_only(usize::MAX);
        read_nothing(&mut stream);
        let rest = peer.received();
        let pong = &rest[rest.len() - 5 - if role == Role::Client { 4 } else { 0 }..];
        let pong = frames::parse(pong);
        assert_eq!((pong[0].opcode, &pong[0].payload[..]), (PONG, &b"now"[..]));
        let frame_size = 200_000 + 10 + if role == Role::Client { 4 } else { 0 };
        assert_eq!(50_000 + rest.len() - (frame_size), if role == Role::Client { 9 } else { 5 });
    }
}

#[test]
fn a_pong_is_not_starved_by_a_writer_that_keeps_the_transport_busy() {
    for role in ROLES {
        let (mut stream, peer) = stream(role, PayloadType::Binary);
        peer.take_only(10);
        let mut writer = task::spawn(());
        let mut write = |stream: &mut WebSocketStream<_>| {
            while writer.enter(|cx, _| Pin::new(&mut *stream).poll_write(cx, &[1; 500])).is_ready()
            {
            }
        };
        write(&mut stream);
        peer.send(&frames::to(role, PING, b"?"));
        read_nothing(&mut stream);
        // The transport never takes all that waits.
        let mut received = peer.received();
        for _ in 0..200 {
            peer.take(600);
            write(&mut stream);
            received.extend(peer.received());
        }
        let (frames, _) = frames::parse_some(&received);
        assert!(frames.iter().any(|frame| frame.opcode == PONG));
    }
}

over_all!(ten_pings_in_a_row_are_all_answered_by_a_transport_that_was_busy);
/// Autobahn's case 2.11; the transport can be an HTTP/2 stream, which is busy after each frame.
async fn ten_pings_in_a_row_are_all_answered_by_a_transport_that_was_busy(over: Over) {
    for role in ROLES {
        let (mut stream, peer) = stream_over(over, role, PayloadType::Binary);
        peer.take_only(0);
        for i in 0..10 {
            peer.send(&frames::to(role, PING, &[i; 125]));
            read_nothing(&mut stream);
        }
        peer.take_all();
        read_nothing(&mut stream);
        let answers = peer.frames();
        let expected: Vec<_> = (0..10).map(|i| vec![i; 125]).collect();
        assert_eq!(answers.into_iter().map(|frame| frame.payload).collect::<Vec<_>>(), expected);
    }
}

#[test]
fn of_many_pings_the_first_and_the_latest_are_answered_by_a_transport_that_was_busy() {
    for role in ROLES {
        let (mut stream, peer) = stream(role, PayloadType::Binary);
        peer.take_only(0);
        for i in 0..1000u32 {
            peer.send(&frames::to(role, PING, &i.to_be_bytes()));
            read_nothing(&mut stream);
        }
        peer.take_all();
        read_nothing(&mut stream);
        let mut answers = peer.frames();
        assert_eq!(answers.pop().unwrap().payload, 999u32.to_be_bytes());
        assert!((10..800).contains(&answers.len()), "{} answers", answers.len());
        for (i, answer) in (0u32..).zip(answers) {
            assert_eq!((answer.opcode, &answer.payload[..]), (PONG, &i.to_be_bytes()[..]));
        }
    }
}

over_all!(pongs_that_had_to_wait_go_out_before_our_close);
async fn pongs_that_had_to_wait_go_out_before_our_close(over: Over) {
    for role in ROLES {
        for pings in [2, 1000] {
            let (mut stream, peer) = stream_over(over, role, PayloadType::Binary);
            peer.take_only(0);
            for i in 1..=pings {
                peer.send(&frames::to(role, PING, &u32::to_be_bytes(i)));
                read_nothing(&mut stream);
            }
            let mut closer = task::spawn(());
            let closed = settle(&mut closer, |cx| Pin::new(&mut stream).poll_shutdown(cx));
            // hyper sees to the rest.
            assert_eq!(closed.is_ready(), over == Over::Http2);
            peer.take_all();
            assert_ready_ok!(settle(&mut closer, |cx| Pin::new(&mut stream).poll_shutdown(cx)));
            let frames = peer.frames();
            let [.., latest, close] = &frames[..] else { panic!("{} frames", frames.len()) };
            assert_eq!((latest.opcode, &latest.payload[..]), (PONG, &pings.to_be_bytes()[..]));
            assert_eq!(close.opcode, CLOSE);
        }
    }
}

#[test]
fn a_flood_of_pings_in_one_read_is_bounded() {
    for role in ROLES {
        let (mut stream, peer) = stream(role, PayloadType::Binary);
        peer.take_only(0);
        let flood: Vec<u8> = (0..5_000).flat_map(|_| frames::to(role, PING, &[9; 125])).collect();
        peer.send(&flood);
        let mut memory = vec![0; flood.len()];
        let mut reader = task::spawn(());
        let mut buf = ReadBuf::new(&mut memory);
        assert_pending!(reader.enter(|cx, _| Pin::new(&mut stream).poll_read(cx, &mut buf)));
        peer.take_all();
        read_nothing(&mut stream);
        let received = peer.received();
        assert!(received.len() <= 66_000, "{} bytes", received.len());
        assert!(frames::parse(&received).iter().all(|frame| frame.opcode == PONG));
    }
}

#[test]
fn pings_of_a_peer_that_hardly_reads_are_bounded() {
    for role in ROLES {
        let (mut stream, peer) = stream(role, PayloadType::Binary);
        peer.take_only(0);
        for _ in 0..5_000 {
            peer.send(&frames::to(role, PING, &[9; 125]));
            read_nothing(&mut stream);
            peer.take(1);
            read_nothing(&mut stream);
        }
        peer.received();
        peer.take_all();
        read_nothing(&mut stream);
        let held = peer.received().len();
        assert!(held <= 66_000, "{held} bytes");
    }
}

#[tokio::test]
async fn a_ping_in_the_middle_of_a_large_transfer_is_answered_within_it() {
    let (a, b) = tokio::io::duplex(5_000);
    let mut server = WebSocketStream::after_handshake(a, Role::Server, PayloadType::Binary);
    let (mut peer_reads, mut peer_writes) = tokio::io::split(b);
    let sent = bytes(3 << 20);
    let expected = sent.clone();
    in_time(async move {
        let (mut reads, mut writes) = tokio::io::split(&mut server);
        let write = async {
            writes.write_all(&sent).await.unwrap();
            writes.shutdown().await.unwrap();
        };
        let read = async {
            let mut rest = Vec::new();
            reads.read_to_end(&mut rest).await.unwrap();
        };
        let ping = async {
            peer_writes.write_all(&frames::masked(PING, b"in the middle")).await.unwrap();
            let (mut frames, mut received) = (Vec::new(), Vec::new());
            while frames.last().is_none_or(|frame: &frames::Frame| frame.opcode != CLOSE) {
                peer_reads.read_buf(&mut received).await.unwrap();
                let (whole, rest) = frames::parse_some(&received);
                let rest = rest.to_vec();
                frames.extend(whole);
                received = rest;
            }
            peer_writes.write_all(&frames::masked(CLOSE, b"")).await.unwrap();
            frames
        };
        let ((), (), frames) = tokio::join!(write, read, ping);
        let pong = frames.iter().position(|frame| frame.opcode == PONG).unwrap();
        assert_eq!(frames[pong].payload, b"in the middle");
        assert!(pong < frames.len() / 2, "frame {pong} of {}", frames.len());
        assert!(frames::payload(&frames) == expected);
    })
    .await;
}

#[tokio::test]
async fn a_pong_or_close_is_flushed_through_a_buffering_transport() {
    for role in ROLES {
        let (mut stream, peer) = stream(role, PayloadType::Binary);
        peer.buffering();
        in_time(stream.write_all(b"data")).await.unwrap();
        assert!(peer.received().is_empty(), "data waits for a flush, or for a read that waits");
        in_time(stream.flush()).await.unwrap();
        assert_eq!(peer.frames()[0].payload, b"data");
        peer.send(&frames::to(role, PING, b"?"));
        read_nothing(&mut stream);
        assert_eq!(peer.frames()[0].opcode, PONG);
        peer.send(&frames::close_to(role, 1000, ""));
        assert_eq!(in_time(stream.read(&mut [0; 9])).await.unwrap(), 0);
        assert_eq!(peer.frames()[0].opcode, CLOSE);
    }
}

#[test]
fn a_flush_for_a_pong_that_has_to_wait_does_not_hold_up_the_reader() {
    for role in ROLES {
        let (mut stream, peer) = stream(role, PayloadType::Binary);
        peer.buffering();
        peer.block_flush(true);
        peer.send(&frames::to(role, PING, b"?"));
        peer.send(&frames::to(role, BINARY, b"data"));
        let mut memory = [0; 64];
        let mut buf = ReadBuf::new(&mut memory);
        let mut reader = task::spawn(());
        assert_ready_ok!(reader.enter(|cx, _| Pin::new(&mut stream).poll_read(cx, &mut buf)));
        assert_eq!(buf.filled(), b"data");
        assert_pending!(reader.enter(|cx, _| Pin::new(&mut stream).poll_read(cx, &mut buf)));
        peer.block_flush(false);
        assert!(reader.is_woken());
        assert_pending!(reader.enter(|cx, _| Pin::new(&mut stream).poll_read(cx, &mut buf)));
        assert_eq!(peer.frames()[0].opcode, PONG);
    }
}

over_all!(nothing_is_answered_after_our_close);
async fn nothing_is_answered_after_our_close(over: Over) {
    for role in ROLES {
        let (mut stream, peer) = stream_over(over, role, PayloadType::Binary);
        let mut writer = task::spawn(());
        assert_ready_ok!(settle(&mut writer, |cx| Pin::new(&mut stream).poll_shutdown(cx)));
        peer.send(&frames::to(role, PING, b"late"));
        read_nothing(&mut stream);
        let frames = peer.frames();
        assert_eq!((frames.len(), frames[0].opcode), (1, CLOSE));
    }
}

#[test]
fn what_was_accepted_is_flushed_though_a_peer_that_never_stops_sending_lets_no_read_wait() {
    for role in ROLES {
        let (mut stream, peer) = common::stream(role, PayloadType::Binary);
        peer.buffering();
        assert_ready_ok!(task::spawn(stream.write_all(b"stop")).poll());
        assert!(peer.received().is_empty());
        let mut reads = 0;
        while peer.frames().is_empty() {
            peer.send(&frames::to(role, BINARY, b"x"));
            assert_ready_ok!(task::spawn(stream.read_u8()).poll());
            reads += 1;
            assert!(reads <= 32, "{reads} reads");
        }
    }
}

#[test]
fn every_ping_is_answered_by_a_transport_that_is_no_longer_busy() {
    for role in ROLES {
        let (mut stream, peer) = common::stream(role, PayloadType::Binary);
        peer.take_only(3);
        assert_ready_ok!(task::spawn(stream.write_all(b"busy")).poll());
        peer.take_all();
        assert_ready_ok!(task::spawn(stream.flush()).poll());
        peer.received();

        // In one read, with more answers than may gather while it is busy.
        let ping = frames::to(role, PING, &[7; 125]);
        let pings = 8_000 / ping.len();
        peer.send(&ping.repeat(pings));
        let mut memory = vec![0; 16 * 1024];
        let mut buf = ReadBuf::new(&mut memory);
        let mut reader = task::spawn(());
        assert_pending!(reader.enter(|cx, _| Pin::new(&mut stream).poll_read(cx, &mut buf)));
        assert_eq!(peer.frames().len(), pings);
    }
}
