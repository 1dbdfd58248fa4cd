//! One write, one frame; what is accepted goes out.

use crate::{
    common::{
        self, ROLES, bytes, cause,
        frames::{self, BINARY, CLOSE},
        stream,
        transports::{OneByteAtATime, Peer, PendingEveryOther, Wire},
    },
    over::{Over, in_time, settle, stream_over},
    over_all,
};
use fastwebsockets_stream::{Config, Error, PayloadType, WebSocketStream, fastwebsockets::Role};
use std::{
    collections::HashSet,
    io::{self, ErrorKind, IoSlice},
    pin::Pin,
    task::{Context, Poll},
};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio_test::{assert_pending, assert_ready_ok, task};

/// What one write hands to a transport without vectored writes, at most: 64 KiB and a small rest.
const MOST: usize = 65 * 1024;

/// The longest write there that is one frame: there is room for any head.
const LONGEST: usize = MOST - 14;

fn binary(role: Role) -> (WebSocketStream<Wire>, Peer) {
    stream(role, PayloadType::Binary)
}

/// Bytes of the head that `role` puts before this much payload.
fn head_size(role: Role, len: usize) -> usize {
    frames::head(BINARY, len as u64).len() + if role == Role::Client { 4 } else { 0 }
}

over_all!(one_write_is_one_frame_of_exactly_its_bytes);
async fn one_write_is_one_frame_of_exactly_its_bytes(over: Over) {
    for role in ROLES {
        let (mut stream, peer) = stream_over(over, role, PayloadType::Binary);
        for len in [1, 16, 125, 126, 200, 2_040, 2_048, 65_535, 65_536, 70_000, 200_000] {
            if len > LONGEST && !stream.get_ref().is_write_vectored() {
                continue;
            }
            let sent = bytes(len);
            assert_eq!(in_time(stream.write(&sent)).await.unwrap(), len);
            over.flush(&mut stream).await;
            let frames = peer.frames();
            assert_eq!(frames.len(), 1, "{len} bytes");
            assert_eq!((frames[0].opcode, frames[0].fin), (BINARY, true));
            assert_eq!(frames[0].masked, role == Role::Client);
            assert!(frames[0].payload == sent, "{len} bytes");
        }
    }
}

#[tokio::test]
async fn a_frame_is_one_write_of_the_transport() {
    for role in ROLES {
        for vectored in [true, false] {
            let (mut stream, peer) = binary(role);
            if !vectored {
                peer.not_vectored();
            }
            for len in [1, 16, 200, 10_000, 60_000] {
                in_time(stream.write_all(&bytes(len))).await.unwrap();
                let writes = peer.writes();
                assert_eq!(writes.len(), 1, "{len} bytes, vectored: {vectored}");
                assert_eq!(writes[0].len(), head_size(role, len) + len);
            }
        }
    }
}

#[tokio::test]
async fn a_large_frame_leaves_no_write_of_a_few_bytes() {
    for role in ROLES {
        for len in [65_536, 131_072, 524_288] {
            let (mut stream, peer) = binary(role);
            assert_eq!(stream.write(&bytes(len)).await.unwrap(), len);
            let writes: Vec<usize> = peer.writes().iter().map(Vec::len).collect();
            assert_eq!(writes.iter().sum::<usize>(), len + head_size(role, len));
            assert!(writes.iter().all(|write| *write > 32_768), "{writes:?}");
        }
    }
}

over_all!(an_empty_write_does_nothing);
async fn an_empty_write_does_nothing(over: Over) {
    for role in ROLES {
        let (mut stream, peer) = stream_over(over, role, PayloadType::Binary);
        assert_eq!(in_time(stream.write(b"")).await.unwrap(), 0);
        let slices = [IoSlice::new(b""), IoSlice::new(b"")];
        assert_eq!(in_time(stream.write_vectored(&slices)).await.unwrap(), 0);
        over.flush(&mut stream).await;
        assert!(peer.received().is_empty());
    }
}

over_all!(a_write_beyond_the_frame_size_is_a_partial_one);
async fn a_write_beyond_the_frame_size_is_a_partial_one(over: Over) {
    for role in ROLES {
        let (mut stream, peer) = stream_over(over, role, Config::new().max_frame_size(1000));
        assert_eq!(in_time(stream.write(&bytes(2500))).await.unwrap(), 1000);
        let slices = [&bytes(600)[..], &bytes(600), &bytes(600)].map(<[u8]>::to_vec);
        let slices = slices.each_ref().map(|slice| IoSlice::new(slice));
        assert_eq!(in_time(stream.write_vectored(&slices)).await.unwrap(), 1000);
        over.flush(&mut stream).await;
        let lens: Vec<usize> = peer.frames().iter().map(|frame| frame.payload.len()).collect();
        assert_eq!(lens, [1000, 1000]);
    }
}

#[tokio::test]
async fn without_vectored_writes_the_transport_gets_whole_frames_of_64_kibibytes() {
    for role in ROLES {
        let (mut stream, peer) = binary(role);
        peer.not_vectored();
        let sent = bytes(1 << 20);
        in_time(stream.write_all(&sent)).await.unwrap();
        let writes = peer.writes();
        for write in &writes {
            // Whole frames, so no head without its payload.
            assert_eq!(frames::parse(write).len(), 1);
        }
        let (last, full) = writes.split_last().unwrap();
        assert!(full.iter().all(|write| write.len() == 65_536), "full writes");
        assert!((65_536..=MOST).contains(&last.len()), "{} bytes with a small rest", last.len());
        assert!(frames::payload(&frames::parse(&writes.concat())) == sent);

        // A larger frame is possible, if asked for; the writes stay as small.
        let (mut stream, peer) = common::stream(role, Config::new().max_frame_size(1 << 20));
        peer.not_vectored();
        assert_eq!(in_time(stream.write(&sent)).await.unwrap(), 1 << 20);
        let writes = peer.writes();
        assert!(writes.iter().all(|write| write.len() <= MOST));
        assert_eq!(frames::parse(&writes.concat()).len(), 1);
    }
}

/// Programs like to write 64 KiB at a time. The head is no reason to make two frames of it.
#[tokio::test]
async fn without_vectored_writes_64_kibibytes_are_one_frame_in_one_write() {
    for role in ROLES {
        for len in [65_536 - 4, 65_536, 65_536 + 1_000, LONGEST] {
            for busy in [false, true] {
                let (mut stream, peer) = binary(role);
                peer.not_vectored();
                if busy {
                    peer.take_only(0);
                }
                assert_eq!(in_time(stream.write(&bytes(len))).await.unwrap(), len);
                peer.take_all();
                in_time(stream.flush()).await.unwrap();
                let writes = peer.writes();
                assert_eq!(writes.len(), 1, "{len}, {busy}");
                assert!(writes[0].len() <= MOST);
                assert!(frames::payload(&frames::parse(&writes[0])) == bytes(len));
            }
        }
    }
}

#[tokio::test]
async fn without_vectored_writes_a_longer_write_is_cut_so_that_64_kibibytes_hold_the_head_too() {
    for role in ROLES {
        let (mut stream, peer) = binary(role);
        peer.not_vectored();
        let taken = in_time(stream.write(&bytes(LONGEST + 1))).await.unwrap();
        assert_eq!(peer.writes().concat().len(), 65_536);
        assert_eq!(taken, 65_536 - head_size(role, taken));
    }
}

/// Large frames wait whole or in part, and go out as they are.
#[tokio::test]
async fn without_vectored_writes_large_frames_are_the_same_on_a_transport_that_is_often_busy() {
    for role in ROLES {
        let (mut stream, peer) = binary(role);
        peer.not_vectored();
        let (mut sent, mut received) = (Vec::new(), Vec::new());
        const ALL: usize = usize::MAX;
        for (turn, taken) in [0, 0, ALL, ALL, 0, 7, 30_000, ALL].into_iter().enumerate() {
            peer.take_only(taken);
            let payload = bytes(40_000 + turn);
            assert_eq!(in_time(stream.write(&payload)).await.unwrap(), payload.len());
            sent.extend(payload);
            peer.take_all();
            in_time(stream.flush()).await.unwrap();
            let writes = peer.writes();
            let expected = if taken == 0 || taken == ALL { 1 } else { 2 };
            assert_eq!(writes.len(), expected, "{turn}");
            received.extend(writes.concat());
        }
        let frames = frames::parse(&received);
        assert_eq!(frames.len(), 8);
        assert!(frames::payload(&frames) == sent);
    }
}

#[tokio::test]
async fn without_vectored_writes_a_busy_transport_gets_small_writes_too() {
    for role in ROLES {
        let (mut stream, peer) = stream(role, Config::new().max_frame_size(300_000));
        peer.not_vectored();
        peer.take_only(100);
        assert_eq!(in_time(stream.write(&bytes(300_000))).await.unwrap(), 300_000);
        peer.take_all();
        in_time(stream.flush()).await.unwrap();
        let writes = peer.writes();
        assert!(writes.iter().all(|write| write.len() <= MOST));
        assert!(frames::payload(&frames::parse(&writes.concat())) == bytes(300_000));
    }
}

#[tokio::test]
async fn while_the_transport_is_busy_frames_gather_and_leave_in_one_write() {
    for role in ROLES {
        for vectored in [true, false] {
            let (mut stream, peer) = binary(role);
            if !vectored {
                peer.not_vectored();
            }
            // Idle: each goes at once.
            for i in 0..3 {
                in_time(stream.write_all(&[i; 10])).await.unwrap();
            }
            assert_eq!(peer.writes().len(), 3);

            peer.take_only(0);
            let mut accepted = 0;
            let mut writer = task::spawn(());
            while writer
                .enter(|cx, _| Pin::new(&mut stream).poll_write(cx, &[accepted as u8; 100]))
                .is_ready()
            {
                accepted += 1;
            }
            let frame = head_size(role, 100) + 100;
            assert!(accepted * frame <= 65_536 && (accepted + 1) * frame > 65_000, "{accepted}");
            peer.take_all();
            assert!(writer.is_woken());
            in_time(stream.flush()).await.unwrap();
            let writes = peer.writes();
            assert_eq!(writes.len(), 1);
            let frames = frames::parse(&writes[0]);
            assert_eq!(frames.len(), accepted, "frames stay as they were written");
            for (i, frame) in frames.iter().enumerate() {
                assert_eq!(frame.payload, [i as u8; 100]);
            }

            // Idle again.
            in_time(stream.write_all(b"x")).await.unwrap();
            assert_eq!(peer.writes().len(), 1);
        }
    }
}

#[test]
fn a_large_frame_that_a_busy_transport_was_offered_is_accepted_and_the_next_one_waits() {
    for role in ROLES {
        let (mut stream, peer) = binary(role);
        peer.take_only(0);
        let mut writer = task::spawn(());
        let large = bytes(100_000);
        // The transport may have encrypted it: it is no longer the application's to change.
        assert_ready_ok!(writer.enter(|cx, _| Pin::new(&mut stream).poll_write(cx, &large)));
        assert_pending!(writer.enter(|cx, _| Pin::new(&mut stream).poll_write(cx, &large)));
        peer.take_all();
        assert!(writer.is_woken());
        // Nothing of the second was consumed: the application may write something else.
        assert_ready_ok!(writer.enter(|cx, _| Pin::new(&mut stream).poll_write(cx, b"else")));
        let frames = peer.frames();
        assert_eq!(frames.len(), 2);
        assert!(frames[0].payload == large);
        assert_eq!(frames[1].payload, b"else");
    }
}

over_all!(what_was_accepted_goes_out_with_the_next_poll_of_any_kind);
async fn what_was_accepted_goes_out_with_the_next_poll_of_any_kind(over: Over) {
    for role in ROLES {
        for kind in ["read", "write", "flush", "shutdown"] {
            let (mut stream, peer) = stream_over(over, role, PayloadType::Binary);
            peer.take_only(3);
            in_time(stream.write_all(b"accepted")).await.unwrap();
            peer.take_all();
            match kind {
                "read" => {
                    let mut memory = [0; 9];
                    let mut buf = ReadBuf::new(&mut memory);
                    let mut task = task::spawn(());
                    assert_pending!(
                        settle(&mut task, |cx| Pin::new(&mut stream).poll_read(cx, &mut buf))
                    );
                }
                "write" => in_time(stream.write_all(b"more")).await.unwrap(),
                "flush" => in_time(stream.flush()).await.unwrap(),
                _ => in_time(stream.shutdown()).await.unwrap(),
            }
            if kind == "write" {
                over.flush(&mut stream).await;
            }
            assert_eq!(peer.frames()[0].payload, b"accepted", "{kind}");
        }
    }
}

over_all!(all_slices_of_a_vectored_write_are_one_frame);
async fn all_slices_of_a_vectored_write_are_one_frame(over: Over) {
    for role in ROLES {
        for count in [1, 2, 5, 15, 16, 17, 100, 2000] {
            let (mut stream, peer) = stream_over(over, role, PayloadType::Binary);
            assert!(stream.is_write_vectored());
            let sent: Vec<Vec<u8>> = (0..count).map(|i| vec![i as u8; i % 7]).collect();
            let slices: Vec<IoSlice<'_>> = sent.iter().map(|s| IoSlice::new(s)).collect();
            let n = in_time(stream.write_vectored(&slices)).await.unwrap();
            assert_eq!(n, sent.concat().len());
            over.flush(&mut stream).await;
            let frames = peer.frames();
            assert_eq!(frames::payload(&frames), sent.concat());
            assert_eq!(frames.len(), usize::from(n > 0), "{count} slices");
        }
    }
}

over_all!(a_vectored_write_is_cut_anywhere_by_the_transport);
async fn a_vectored_write_is_cut_anywhere_by_the_transport(over: Over) {
    for role in ROLES {
        let sent = [&b"one"[..], b"", b"twotwo", b"three"];
        let slices = sent.map(IoSlice::new);
        for room in 1..30 {
            let (mut stream, peer) = stream_over(over, role, PayloadType::Binary);
            peer.take_only(room);
            assert_eq!(in_time(stream.write_vectored(&slices)).await.unwrap(), 14);
            peer.take_all();
            in_time(stream.flush()).await.unwrap();
            assert_eq!(frames::payload(&peer.frames()), sent.concat(), "{room} bytes taken");
        }
    }
}

over_all!(a_large_frame_that_has_to_wait_arrives_once_and_as_it_is);
async fn a_large_frame_that_has_to_wait_arrives_once_and_as_it_is(over: Over) {
    for role in ROLES {
        let (mut stream, peer) = stream_over(over, role, Config::new().max_frame_size(300_000));
        peer.take_only(0);
        let data = bytes(200_000);
        let mut writer = task::spawn(());
        let first = settle(&mut writer, |cx| Pin::new(&mut stream).poll_write(cx, &data));
        peer.take_all();
        let taken = match first {
            Poll::Ready(taken) => taken.unwrap(),
            Poll::Pending => in_time(stream.write(&data)).await.unwrap(),
        };
        assert_eq!(taken, data.len());
        in_time(stream.flush()).await.unwrap();
        let frames = peer.frames();
        assert_eq!(frames.len(), 1);
        assert!(frames[0].payload == data);
    }
}

#[tokio::test]
async fn a_transport_that_takes_one_byte_at_a_time_with_pauses() {
    for role in ROLES {
        let (wire, peer) = Wire::new();
        let io = PendingEveryOther::new(OneByteAtATime(wire));
        let mut stream = WebSocketStream::after_handshake(io, role, PayloadType::Binary);
        for len in [1, 100, 300, 3_000] {
            in_time(stream.write_all(&bytes(len))).await.unwrap();
        }
        in_time(stream.shutdown()).await.unwrap();
        let frames = peer.frames();
        let lens: Vec<usize> = frames.iter().map(|frame| frame.payload.len()).collect();
        assert_eq!(lens, [1, 100, 300, 3_000, 2]);
        assert!(frames[3].payload == bytes(3_000));
        assert_eq!(frames[4].opcode, CLOSE);
    }
}

#[tokio::test]
async fn a_buffering_transport_is_flushed_by_flush_and_shutdown() {
    for role in ROLES {
        let (wire, peer) = Wire::new();
        let io = tokio::io::BufWriter::new(wire);
        let mut stream = WebSocketStream::after_handshake(io, role, PayloadType::Binary);
        in_time(stream.write_all(b"one")).await.unwrap();
        assert!(peer.received().is_empty());
        in_time(stream.flush()).await.unwrap();
        assert_eq!(peer.frames()[0].payload, b"one");
        in_time(stream.write_all(b"two")).await.unwrap();
        in_time(stream.shutdown()).await.unwrap();
        let frames = peer.frames();
        assert_eq!((&frames[0].payload[..], frames[1].opcode), (&b"two"[..], CLOSE));
    }
}

#[tokio::test]
async fn a_transport_that_takes_nothing_is_write_zero() {
    for role in ROLES {
        for vectored in [true, false] {
            let (mut stream, peer) = binary(role);
            if !vectored {
                peer.not_vectored();
            }
            peer.take_nothing_any_more();
            let error = in_time(stream.write(b"x")).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::WriteZero);
            assert_eq!(cause(&error), &Error::WriteZero);
            let error = in_time(stream.write(b"x")).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::BrokenPipe);
        }
        let (mut stream, peer) = binary(role);
        peer.take_only(3);
        in_time(stream.write_all(b"begun")).await.unwrap();
        peer.take_nothing_any_more();
        let error = in_time(stream.flush()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::WriteZero);
    }
}

#[tokio::test]
async fn client_frames_have_keys_of_their_own() {
    let (mut stream, peer) = binary(Role::Client);
    let mut keys = HashSet::new();
    for _ in 0..1000 {
        in_time(stream.write_all(&[0])).await.unwrap();
        let frame = peer.received();
        assert_eq!(frame[1], 0x81);
        keys.insert(frame[2..6].to_vec());
    }
    // Two of a thousand random keys are alike once in 8 600 runs; three times never.
    assert!(keys.len() >= 997, "{} keys", keys.len());
    let ones: u32 = keys.iter().flatten().map(|byte| byte.count_ones()).sum();
    assert!((15_000..17_000).contains(&ones), "{ones} of 32 000 bits");
}

#[test]
fn accepted_bytes_are_bounded_while_the_peer_does_not_read() {
    for role in ROLES {
        for vectored in [true, false] {
            for size in [1, 100, 5_000, 60_000, 70_000, 1 << 20] {
                let (mut stream, peer) = binary(role);
                if !vectored {
                    peer.not_vectored();
                }
                peer.take_only(1);
                let mut writer = task::spawn(());
                let data = bytes(size);
                let mut accepted = 0;
                while let Poll::Ready(n) =
                    writer.enter(|cx, _| Pin::new(&mut stream).poll_write(cx, &data))
                {
                    accepted += n.unwrap();
                }
                // One frame that was begun, or 64 KiB that gathered.
                assert!(accepted <= 512 * 1024, "{accepted} in writes of {size}");
            }
        }
    }
}

/// A transport that says that it has taken more than it was given.
struct Boaster {
    written: Vec<u8>,
    vectored: bool,
}

impl AsyncRead for Boaster {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        _: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Poll::Pending
    }
}

impl AsyncWrite for Boaster {
    fn poll_write(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.written.extend(buf);
        Poll::Ready(Ok(buf.len() + 1000))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let all: Vec<u8> = slices.iter().flat_map(|slice| slice.iter().copied()).collect();
        self.poll_write(cx, &all)
    }

    fn is_write_vectored(&self) -> bool {
        self.vectored
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[tokio::test]
async fn a_transport_that_reports_more_than_it_was_given_is_believed_no_more_than_that() {
    for role in ROLES {
        for vectored in [true, false] {
            let io = Boaster { written: Vec::new(), vectored };
            let mut stream = WebSocketStream::after_handshake(io, role, PayloadType::Binary);
            let sizes = [1, 1_000, 10_000, 70_000, 200_000];
            for size in sizes {
                in_time(stream.write_all(&bytes(size))).await.unwrap();
            }
            in_time(stream.shutdown()).await.unwrap();
            let frames = frames::parse(&stream.get_ref().written);
            let payload = sizes.map(bytes).concat();
            assert!(frames::payload(&frames) == payload, "vectored: {vectored}");
        }
    }
}
