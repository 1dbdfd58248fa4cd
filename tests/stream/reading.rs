//! Payload arrives as its bytes do, in whatever frames it comes.

use crate::{
    common::{
        ROLES, bytes, cause,
        frames::{self, BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT},
        stream,
        transports::{OneByteAtATime, Peer, Wire},
    },
    over::{Over, in_time, settle, stream_over},
    over_all,
};
use fastwebsockets_stream::{Error, PayloadType, Violation, WebSocketStream, fastwebsockets::Role};
use std::{
    io::ErrorKind,
    pin::Pin,
    sync::atomic::{AtomicBool, Ordering},
    task::{Context, Poll},
};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio_test::{assert_pending, task};

fn binary(role: Role) -> (WebSocketStream<Wire>, Peer) {
    stream(role, PayloadType::Binary)
}

over_all!(payload_arrives_as_soon_as_its_bytes_do);
async fn payload_arrives_as_soon_as_its_bytes_do(over: Over) {
    for role in ROLES {
        let (mut stream, peer) = stream_over(over, role, PayloadType::Binary);
        let frame = frames::to(role, BINARY, &bytes(1000));
        let head = frame.len() - 1000;
        let mut received: Vec<u8> = Vec::new();
        for (i, byte) in frame.iter().enumerate() {
            peer.send(&[*byte]);
            let mut reader = task::spawn(());
            let mut memory = [0; 64];
            let mut buf = ReadBuf::new(&mut memory);
            let read = settle(&mut reader, |cx| Pin::new(&mut stream).poll_read(cx, &mut buf));
            assert_eq!(read.is_ready(), i >= head, "byte {i}");
            received.extend(buf.filled());
        }
        assert_eq!(received, bytes(1000));
    }
}

#[tokio::test]
async fn a_thousand_frames_in_one_read_of_the_transport() {
    for role in ROLES {
        let (mut stream, peer) = binary(role);
        let sent = bytes(7 * 1000);
        for payload in sent.chunks(7) {
            peer.send(&frames::to(role, BINARY, payload));
        }
        let mut received = vec![0; 64 * 1024];
        let n = in_time(stream.read(&mut received)).await.unwrap();
        assert_eq!(received[..n], sent);
        assert_eq!(peer.polls().0, 1);
    }
}

over_all!(frames_of_all_sizes_into_buffers_of_all_sizes);
async fn frames_of_all_sizes_into_buffers_of_all_sizes(over: Over) {
    for role in ROLES {
        for size in [1, 2, 3, 31, 32, 33, 63, 64, 100, 4096, 70_000] {
            let (mut stream, peer) = stream_over(over, role, PayloadType::Binary);
            let mut sent = Vec::new();
            for len in [0, 1, 2, 125, 126, 127, 5_000, 65_535, 65_536, 70_000, 3] {
                let payload = bytes(len);
                peer.send(&frames::to(role, BINARY, &payload));
                peer.send(&frames::to(role, PING, b"between"));
                sent.extend(payload);
            }
            peer.send(&frames::close_to(role, 1000, ""));
            let mut received = Vec::new();
            let mut buffer = vec![0; size];
            loop {
                let n = in_time(stream.read(&mut buffer)).await.unwrap();
                assert!(n <= size);
                if n == 0 {
                    break;
                }
                received.extend_from_slice(&buffer[..n]);
            }
            assert!(received == sent, "buffer of {size}");
        }
    }
}

#[tokio::test]
async fn bytes_one_at_a_time() {
    for role in ROLES {
        let (wire, peer) = Wire::new();
        let mut stream =
            WebSocketStream::after_handshake(OneByteAtATime(wire), role, PayloadType::Binary);
        peer.send(&frames::fragment_to(role, BINARY, b"hel"));
        peer.send(&frames::to(role, PING, b"?"));
        peer.send(&frames::to(role, CONTINUATION, &[b'l'; 300]));
        peer.send(&frames::close_to(role, 1000, "done"));
        let mut received = Vec::new();
        in_time(stream.read_to_end(&mut received)).await.unwrap();
        assert_eq!(received, [&b"hel"[..], &[b'l'; 300]].concat());
    }
}

#[tokio::test]
async fn a_buffer_of_one_byte_reads_no_more_than_it_gives() {
    for role in ROLES {
        let (mut stream, peer) = binary(role);
        peer.send(&frames::to(role, BINARY, &[1, 2, 3]));
        for expected in 1..=3 {
            assert_eq!(in_time(stream.read_u8()).await.unwrap(), expected);
        }
        // A head and its first byte in one read of the transport, the others in one each.
        assert_eq!(peer.polls().0, 3);
    }
}

over_all!(an_empty_buffer_is_not_the_end_of_the_file);
async fn an_empty_buffer_is_not_the_end_of_the_file(over: Over) {
    for role in ROLES {
        let (mut stream, peer) = stream_over(over, role, PayloadType::Binary);
        assert_eq!(in_time(stream.read(&mut [])).await.unwrap(), 0);
        peer.send(&frames::to(role, BINARY, b"x"));
        assert_eq!(in_time(stream.read(&mut [])).await.unwrap(), 0);
        assert_eq!(in_time(stream.read_u8()).await.unwrap(), b'x');
    }
}

over_all!(empty_frames_are_not_the_end_of_the_file);
async fn empty_frames_are_not_the_end_of_the_file(over: Over) {
    for role in ROLES {
        let (mut stream, peer) = stream_over(over, role, PayloadType::Binary);
        peer.send(&frames::to(role, BINARY, b""));
        peer.send(&frames::fragment_to(role, BINARY, b""));
        peer.send(&frames::to(role, CONTINUATION, b""));
        let mut reader = task::spawn(());
        let mut memory = [0; 64];
        let mut buf = ReadBuf::new(&mut memory);
        assert_pending!(settle(&mut reader, |cx| Pin::new(&mut stream).poll_read(cx, &mut buf)));
    }
}

over_all!(a_head_that_claims_2_to_the_40_is_only_a_number);
async fn a_head_that_claims_2_to_the_40_is_only_a_number(over: Over) {
    for role in ROLES {
        let (mut stream, peer) = stream_over(over, role, PayloadType::Binary);
        peer.send(&frames::head_to(role, BINARY, 1 << 40));
        let mut masked = frames::to(role, BINARY, b"first bytes");
        let payload = masked.split_off(masked.len() - 11);
        peer.send(&payload);
        let mut received = [0; 11];
        in_time(stream.read_exact(&mut received)).await.unwrap();
        assert_eq!(&received, b"first bytes");
    }
}

/// Serves the same bytes over and over.
struct Endless(Vec<u8>);

impl AsyncRead for Endless {
    fn poll_read(
        self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        while buf.remaining() >= self.0.len() {
            buf.put_slice(&self.0);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Endless {
    fn poll_write(
        self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[tokio::test(flavor = "current_thread")]
async fn endless_frames_without_payload_yield_to_other_tasks() {
    static OTHER_RAN: AtomicBool = AtomicBool::new(false);
    for role in ROLES {
        for frame in [
            frames::to(role, BINARY, b""),
            frames::to(role, PING, b"ping"),
            frames::to(role, PONG, b""),
        ] {
            OTHER_RAN.store(false, Ordering::Relaxed);
            let mut stream =
                WebSocketStream::after_handshake(Endless(frame), role, PayloadType::Binary);
            let reader = tokio::spawn(async move { stream.read(&mut [0; 256]).await });
            let other = tokio::spawn(async { OTHER_RAN.store(true, Ordering::Relaxed) });
            in_time(other).await.unwrap();
            assert!(OTHER_RAN.load(Ordering::Relaxed));
            assert!(!reader.is_finished());
            reader.abort();
        }
    }
}

over_all!(any_fragmentation_with_control_frames_between);
async fn any_fragmentation_with_control_frames_between(over: Over) {
    for role in ROLES {
        for size in [1, 2, 7, 100, 999] {
            let (mut stream, peer) = stream_over(over, role, PayloadType::Binary);
            let sent = bytes(1000);
            let mut frames = Vec::new();
            let mut opcode = BINARY;
            for fragment in sent.chunks(size) {
                frames.extend(frames::fragment_to(role, opcode, fragment));
                frames.extend(frames::to(role, PING, b"between"));
                frames.extend(frames::to(role, PONG, b"unasked"));
                frames.extend(frames::fragment_to(role, CONTINUATION, b""));
                opcode = CONTINUATION;
            }
            frames.extend(frames::to(role, CONTINUATION, b"!"));
            frames.extend(frames::to(role, BINARY, b"next"));
            frames.extend(frames::close_to(role, 1000, ""));
            peer.send(&frames);
            let mut received = Vec::new();
            in_time(stream.read_to_end(&mut received)).await.unwrap();
            assert!(received == [&sent[..], b"!next"].concat(), "fragments of {size}");
        }
    }
}

/// Everything before a violation is read; then it is an error for ever, and the peer is told.
async fn expect_violation(
    over: Over,
    role: Role,
    payload_type: PayloadType,
    before: &[u8],
    bad: &[u8],
    violation: Violation,
    close_code: u16,
) {
    let (mut stream, peer) = stream_over(over, role, payload_type);
    let opcode = if payload_type == PayloadType::Text { TEXT } else { BINARY };
    peer.send(&frames::to(role, opcode, b"good"));
    peer.send(before);
    peer.send(bad);
    peer.send(&frames::to(role, opcode, b"ignored"));
    let mut received = [0; 4];
    in_time(stream.read_exact(&mut received)).await.unwrap();
    assert_eq!(&received, b"good");
    let mut rest = Vec::new();
    for _ in 0..3 {
        let error = in_time(stream.read_to_end(&mut rest)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidData, "{violation:?}");
        assert_eq!(cause(&error), &Error::Protocol(violation));
    }
    let write = in_time(stream.write(b"x")).await.unwrap_err();
    assert_eq!(write.kind(), ErrorKind::BrokenPipe, "{violation:?}");
    in_time(stream.flush()).await.unwrap();
    in_time(stream.shutdown()).await.unwrap();

    let close: Vec<_> = peer.frames().into_iter().filter(|f| f.opcode == CLOSE).collect();
    assert_eq!(close.len(), 1, "{violation:?}");
    assert_eq!(close[0].payload, close_code.to_be_bytes(), "{violation:?}");
    assert!(peer.is_shut_down(), "who fails the connection ends it");
}

/// A frame with its first bytes changed.
fn spoilt(mut frame: Vec<u8>, first_or: u8) -> Vec<u8> {
    frame[0] |= first_or;
    frame
}

fn without_fin(mut frame: Vec<u8>) -> Vec<u8> {
    frame[0] &= 0x7f;
    frame
}

/// A head whose length takes `size` bytes though it need not.
fn long_length(role: Role, opcode: u8, len: u64, size: usize) -> Vec<u8> {
    let mask = if role == Role::Server { 0x80 } else { 0 };
    let code = if size == 2 { 126 } else { 127 };
    let mut head = vec![0x80 | opcode, mask | code];
    head.extend(&len.to_be_bytes()[8 - size..]);
    if role == Role::Server {
        head.extend([1, 2, 3, 4]);
    }
    head
}

over_all!(protocol_violations_are_errors_and_answered_with_close_1002);
async fn protocol_violations_are_errors_and_answered_with_close_1002(over: Over) {
    use Violation::*;
    for role in ROLES {
        let to = |opcode, payload: &[u8]| frames::to(role, opcode, payload);
        let none: &[u8] = &[];
        for (bad, violation) in [
            (spoilt(to(BINARY, b"x"), 0x40), ReservedBits),
            (spoilt(to(BINARY, b"x"), 0x20), ReservedBits),
            (spoilt(to(PING, b"x"), 0x10), ReservedBits),
            (to(0x3, b"x"), ReservedOpcode),
            (to(0x7, b""), ReservedOpcode),
            (to(0xb, b""), ReservedOpcode),
            (to(0xf, b"x"), ReservedOpcode),
            (without_fin(to(PING, b"x")), FragmentedControl),
            (without_fin(to(PONG, b"x")), FragmentedControl),
            (without_fin(to(CLOSE, b"")), FragmentedControl),
            (to(PING, &[0; 126]), ControlTooLong),
            (to(PONG, &[0; 200]), ControlTooLong),
            (to(CLOSE, &frames::close_payload(1000, &"x".repeat(124))), ControlTooLong),
            (to(PING, &[0; 70_000]), ControlTooLong),
            (to(CONTINUATION, b"x"), UnexpectedContinuation),
            (long_length(role, BINARY, 125, 2), LengthNotMinimal),
            (long_length(role, BINARY, 0xffff, 8), LengthNotMinimal),
            (long_length(role, BINARY, 0, 8), LengthNotMinimal),
            (long_length(role, BINARY, 1 << 63, 8), LengthTooLarge),
            (to(CLOSE, &[3]), CloseTooShort),
        ] {
            expect_violation(over, role, PayloadType::Binary, none, &bad, violation, 1002).await;
        }
        let open = frames::fragment_to(role, BINARY, b"");
        let new_message = to(BINARY, b"new");
        expect_violation(
            over,
            role,
            PayloadType::Binary,
            &open,
            &new_message,
            UnfinishedMessage,
            1002,
        )
        .await;
    }
}

over_all!(a_server_refuses_unmasked_frames_and_a_client_masked_ones);
async fn a_server_refuses_unmasked_frames_and_a_client_masked_ones(over: Over) {
    for opcode in [BINARY, PING, CLOSE] {
        let unmasked = frames::unmasked(opcode, b"");
        expect_violation(
            over,
            Role::Server,
            PayloadType::Binary,
            &[],
            &unmasked,
            Violation::UnmaskedFrame,
            1002,
        )
        .await;
        let masked = frames::masked(opcode, b"");
        expect_violation(
            over,
            Role::Client,
            PayloadType::Binary,
            &[],
            &masked,
            Violation::MaskedFrame,
            1002,
        )
        .await;
    }
}

over_all!(without_masking_neither_side_masks_and_a_masked_frame_is_the_error);
async fn without_masking_neither_side_masks_and_a_masked_frame_is_the_error(over: Over) {
    for role in ROLES {
        let config = fastwebsockets_stream::Config::new().no_masking(true);
        let (mut stream, peer) = stream_over(over, role, config);
        peer.send(&frames::unmasked(BINARY, b"plain"));
        let mut received = [0; 5];
        in_time(stream.read_exact(&mut received)).await.unwrap();
        assert_eq!(&received, b"plain");
        in_time(stream.write_all(b"plain too")).await.unwrap();
        over.flush(&mut stream).await;
        let frames = peer.frames();
        assert!(!frames[0].masked && frames[0].payload == b"plain too");
        peer.send(&frames::masked(BINARY, b"x"));
        let error = in_time(stream.read_u8()).await.unwrap_err();
        assert_eq!(cause(&error), &Error::Protocol(Violation::MaskedFrame));
    }
}

over_all!(a_masked_frame_from_a_server_is_explained);
async fn a_masked_frame_from_a_server_is_explained(over: Over) {
    let (mut stream, peer) = stream_over(over, Role::Client, PayloadType::Binary);
    peer.send(&frames::masked(BINARY, b"echo"));
    let error = in_time(stream.read_u8()).await.unwrap_err();
    assert!(error.to_string().contains("fastwebsockets server"), "{error}");
}

over_all!(the_wrong_payload_type_is_fatal_and_answered_with_close_1003);
async fn the_wrong_payload_type_is_fatal_and_answered_with_close_1003(over: Over) {
    for role in ROLES {
        for (ours, theirs) in [(PayloadType::Binary, TEXT), (PayloadType::Text, BINARY)] {
            for payload in [&b"x"[..], b""] {
                let bad = frames::to(role, theirs, payload);
                let violation = Violation::WrongPayloadType;
                expect_violation(over, role, ours, &[], &bad, violation, 1003).await;
            }
        }
    }
}

over_all!(forbidden_close_codes_are_errors_and_never_echoed);
async fn forbidden_close_codes_are_errors_and_never_echoed(over: Over) {
    for role in ROLES {
        for code in [0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535] {
            let bad = frames::close_to(role, code, "");
            let violation = Violation::InvalidCloseCode(code);
            expect_violation(over, role, PayloadType::Binary, &[], &bad, violation, 1002).await;
        }
    }
}

over_all!(a_close_reason_that_is_not_utf8_is_answered_with_close_1007);
async fn a_close_reason_that_is_not_utf8_is_answered_with_close_1007(over: Over) {
    for role in ROLES {
        let bad = frames::to(role, CLOSE, b"\x03\xe8\xff\xfe");
        let violation = Violation::InvalidCloseReason;
        expect_violation(over, role, PayloadType::Binary, &[], &bad, violation, 1007).await;
    }
}

over_all!(buffered_reading_gives_the_same_bytes);
async fn buffered_reading_gives_the_same_bytes(over: Over) {
    for role in ROLES {
        let (mut stream, peer) = stream_over(over, role, PayloadType::Binary);
        let text: String = (0..5000).map(|i| format!("line {i}\n")).collect();
        for piece in text.as_bytes().chunks(33) {
            peer.send(&frames::to(role, BINARY, piece));
        }
        peer.send(&frames::close_to(role, 1000, ""));
        let mut lines = 0;
        let mut line = String::new();
        while in_time(stream.read_line(&mut line)).await.unwrap() > 0 {
            assert_eq!(line, format!("line {lines}\n"));
            lines += 1;
            line.clear();
        }
        assert_eq!(lines, 5000);
    }
}

over_all!(reads_and_buffered_reads_take_turns);
async fn reads_and_buffered_reads_take_turns(over: Over) {
    for role in ROLES {
        let (mut stream, peer) = stream_over(over, role, PayloadType::Binary);
        let sent = bytes(20_000);
        for payload in sent.chunks(900) {
            peer.send(&frames::to(role, BINARY, payload));
        }
        peer.send(&frames::close_to(role, 1000, ""));
        let mut received = Vec::new();
        let mut buffer = [0; 50];
        while received.len() < sent.len() {
            let n = in_time(stream.read(&mut buffer)).await.unwrap();
            received.extend_from_slice(&buffer[..n]);
            let buffered = in_time(stream.fill_buf()).await.unwrap();
            let n = buffered.len().min(77);
            received.extend_from_slice(&buffered[..n]);
            stream.consume(n);
        }
        assert!(received == sent);
        assert!(in_time(stream.fill_buf()).await.unwrap().is_empty());
        stream.consume(10);
        assert_eq!(in_time(stream.read(&mut buffer)).await.unwrap(), 0);
    }
}

/// How many bytes each read gives, of frames that are all there.
async fn sizes_of_reads(role: Role, frame: usize, buffer: usize) -> Vec<usize> {
    let (mut stream, peer) = stream(role, PayloadType::Binary);
    for _ in 0..8 {
        peer.send(&frames::to(role, BINARY, &bytes(frame)));
    }
    let (mut sizes, mut left) = (Vec::new(), 8 * frame);
    let mut memory = vec![0; buffer];
    while left > 0 {
        let len = in_time(stream.read(&mut memory)).await.unwrap();
        sizes.push(len);
        left -= len;
    }
    sizes
}

#[tokio::test]
async fn large_frames_fill_a_buffer_of_their_size_though_they_have_heads() {
    for role in ROLES {
        let sizes = sizes_of_reads(role, 65_536, 65_536).await;
        let whole = sizes.iter().filter(|len| **len == 65_536).count();
        assert!(whole >= 6, "{sizes:?}");
    }
}

#[tokio::test]
async fn a_read_within_a_large_frame_ends_with_it() {
    for role in ROLES {
        let sizes = sizes_of_reads(role, 16_384, 65_536).await;
        // The first finds no frame begun, and takes what there is.
        assert!(sizes[1..].iter().all(|len| *len <= 16_384 + 12), "{sizes:?}");
    }
}

#[tokio::test]
async fn control_frames_after_a_large_frame_are_read_many_at_a_time() {
    for role in ROLES {
        let (mut stream, peer) = stream(role, PayloadType::Binary);
        peer.send(&frames::to(role, BINARY, &bytes(70_000)));
        in_time(stream.read_exact(&mut vec![0; 70_000])).await.unwrap();
        peer.send(&frames::to(role, PONG, b"").repeat(10_000));
        peer.send(&frames::to(role, BINARY, b"x"));
        let (before, _) = peer.polls();
        let mut memory = vec![0; 65_536];
        assert_eq!(in_time(stream.read(&mut memory)).await.unwrap(), 1);
        let (after, _) = peer.polls();
        assert!(after - before < 10, "{} reads of the transport", after - before);
    }
}
