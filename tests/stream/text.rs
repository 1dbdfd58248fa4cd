//! Text streams: UTF-8 in both directions, however it is cut.

use crate::{
    common::{
        ROLES, cause,
        frames::{self, BINARY, CLOSE, CONTINUATION, TEXT},
        stream,
    },
    over::{Over, in_time, stream_over},
    over_all,
};
use fastwebsockets_stream::{Config, Error, PayloadType, Violation};
use std::io::{ErrorKind, IoSlice};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const MIXED: &str = "aé€😀 Grüße, 한글, עברית, 😀😀!";

over_all!(text_arrives_however_its_code_points_are_cut);
async fn text_arrives_however_its_code_points_are_cut(over: Over) {
    for role in ROLES {
        for size in 1..10 {
            let (mut stream, peer) = stream_over(over, role, PayloadType::Text);
            let mut opcode = TEXT;
            for fragment in MIXED.as_bytes().chunks(size) {
                peer.send(&frames::fragment_to(role, opcode, fragment));
                opcode = CONTINUATION;
            }
            peer.send(&frames::to(role, CONTINUATION, b""));
            peer.send(&frames::close_to(role, 1000, ""));
            let mut received = String::new();
            in_time(stream.read_to_string(&mut received)).await.unwrap();
            assert_eq!(received, MIXED);
        }
    }
}

/// What a write stopped in the middle of leads the next frame, and counts for its size.
#[tokio::test]
async fn without_vectored_writes_text_is_cut_between_code_points_at_the_limit_too() {
    // 65 KiB less the longest head, and what else fits into 64 KiB.
    const LONGEST: usize = 65 * 1024 - 14;
    for role in ROLES {
        for len in LONGEST - 4..LONGEST + 4 {
            let (mut stream, peer) = stream(role, PayloadType::Text);
            peer.not_vectored();
            let euros = "€".repeat(len / 3 + 2);
            // All but the last byte of a code point waits for the next write.
            let (start, rest) = euros.as_bytes()[..len + 2].split_at(2);
            in_time(stream.write_all(start)).await.unwrap();
            in_time(stream.write_all(rest)).await.unwrap();
            in_time(stream.write_all(&euros.as_bytes()[len + 2..])).await.unwrap();
            let frames = peer.frames();
            assert!(frames.iter().all(|frame| std::str::from_utf8(&frame.payload).is_ok()));
            assert!(frames::payload(&frames) == euros.as_bytes());
            assert_eq!(frames[0].payload.len() > 65_536, len + 2 <= LONGEST, "{len}");
        }
    }
}

over_all!(bad_text_is_an_error_at_its_first_bad_byte);
async fn bad_text_is_an_error_at_its_first_bad_byte(over: Over) {
    let bad: &[(&[u8], &[u8])] = &[
        // What can still be read, and what is known to be bad.
        (b"ok", b"\xff"),
        (b"ok\xe0", b"\x80"),
        (b"ok\xed", b"\xa0"),
        (b"ok\xf4", b"\x90"),
        (b"ok\xe2\x82", b"A"),
        (b"", b"\x80"),
        (b"", b"\xc0"),
        (b"", b"\xf8"),
    ];
    for role in ROLES {
        for (good, bad) in bad {
            // The frame promises more; nobody waits for it.
            let (mut stream, peer) = stream_over(over, role, PayloadType::Text);
            let payload = [*good, *bad].concat();
            let mut frame = frames::to(role, TEXT, &[&payload[..], b"more to come"].concat());
            frame.truncate(frame.len() - 12);
            for byte in frame {
                peer.send(&[byte]);
            }
            let mut received = Vec::new();
            let error = in_time(stream.read_to_end(&mut received)).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidData);
            assert_eq!(cause(&error), &Error::Protocol(Violation::InvalidUtf8));
            // A whole code point is valid until its last byte is seen to be wrong.
            assert!(good.starts_with(&received), "{good:x?} gave {received:x?}");
            assert!(received.len() + 2 >= good.len(), "{good:x?} gave {received:x?}");
            over.flush(&mut stream).await;
            let frames = peer.frames();
            assert_eq!((frames.len(), frames[0].opcode), (1, CLOSE));
            assert_eq!(frames[0].payload, 1007u16.to_be_bytes());
            let error = in_time(stream.write(b"x")).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::BrokenPipe);
        }
    }
}

over_all!(a_bad_byte_is_noticed_across_frames_and_fragments);
async fn a_bad_byte_is_noticed_across_frames_and_fragments(over: Over) {
    for role in ROLES {
        for (first, then) in [
            (frames::fragment_to(role, TEXT, b"\xe2\x82"), frames::to(role, CONTINUATION, b"A")),
            (
                frames::fragment_to(role, TEXT, b"\xf0"),
                frames::fragment_to(role, CONTINUATION, b"\x80"),
            ),
            // The end of a message in the middle of a code point.
            (frames::fragment_to(role, TEXT, b"\xe2"), frames::to(role, CONTINUATION, b"\x82")),
            (frames::fragment_to(role, TEXT, b"\xe2\x82"), frames::to(role, CONTINUATION, b"")),
            (frames::to(role, TEXT, b"\xe2\x82"), frames::to(role, TEXT, b"\xac")),
        ] {
            let (mut stream, peer) = stream_over(over, role, PayloadType::Text);
            peer.send(&first);
            peer.send(&then);
            let error = in_time(stream.read_to_end(&mut Vec::new())).await.unwrap_err();
            assert_eq!(cause(&error), &Error::Protocol(Violation::InvalidUtf8));
            over.flush(&mut stream).await;
            assert_eq!(peer.frames()[0].payload, 1007u16.to_be_bytes());
        }
    }
}

over_all!(binary_streams_carry_any_bytes);
async fn binary_streams_carry_any_bytes(over: Over) {
    for role in ROLES {
        let (mut stream, peer) = stream_over(over, role, PayloadType::Binary);
        peer.send(&frames::to(role, BINARY, b"\xff\xfe\x80"));
        let mut received = [0; 3];
        in_time(stream.read_exact(&mut received)).await.unwrap();
        assert_eq!(&received, b"\xff\xfe\x80");
        in_time(stream.write_all(b"\x80\xff")).await.unwrap();
        over.flush(&mut stream).await;
        assert_eq!(peer.frames()[0].payload, b"\x80\xff");
    }
}

over_all!(writes_cut_anywhere_put_only_valid_frames_on_the_wire);
async fn writes_cut_anywhere_put_only_valid_frames_on_the_wire(over: Over) {
    for role in ROLES {
        for max_frame_size in [4, 5, 7, 1000] {
            for size in 1..12 {
                let config =
                    Config::new().payload_type(PayloadType::Text).max_frame_size(max_frame_size);
                let (mut stream, peer) = stream_over(over, role, config);
                for piece in MIXED.as_bytes().chunks(size) {
                    in_time(stream.write_all(piece)).await.unwrap();
                }
                in_time(stream.shutdown()).await.unwrap();
                let frames = peer.frames();
                let (close, texts) = frames.split_last().unwrap();
                assert_eq!(close.opcode, CLOSE);
                for frame in texts {
                    assert_eq!((frame.opcode, frame.fin), (TEXT, true));
                    assert!(!frame.payload.is_empty() && frame.payload.len() <= max_frame_size);
                    assert!(std::str::from_utf8(&frame.payload).is_ok(), "{:x?}", frame.payload);
                }
                assert_eq!(frames::payload(texts), MIXED.as_bytes());
            }
        }
    }
}

over_all!(a_vectored_write_is_one_valid_frame);
async fn a_vectored_write_is_one_valid_frame(over: Over) {
    for role in ROLES {
        let (mut stream, peer) = stream_over(over, role, PayloadType::Text);
        let text = MIXED.as_bytes();
        // Cut inside code points, in a slice of one byte and at the end.
        let slices = [&text[..2], &text[2..3], &text[3..4], &text[4..8]].map(IoSlice::new);
        assert_eq!(in_time(stream.write_vectored(&slices)).await.unwrap(), 8);
        in_time(stream.write_all(&text[8..])).await.unwrap();
        over.flush(&mut stream).await;
        let frames = peer.frames();
        assert_eq!(frames[0].payload, text[..6], "the last code point waits for its end");
        assert_eq!(frames::payload(&frames), text);
    }
}

over_all!(bytes_that_are_not_utf8_are_refused_whole);
async fn bytes_that_are_not_utf8_are_refused_whole(over: Over) {
    for role in ROLES {
        let (mut stream, peer) = stream_over(over, role, PayloadType::Text);
        for bad in [&b"fine until here \xff"[..], b"\x80", b"\xed\xa0\x80"] {
            let error = in_time(stream.write(bad)).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidData);
            assert_eq!(cause(&error), &Error::NotUtf8);
        }
        over.flush(&mut stream).await;
        assert!(peer.received().is_empty(), "nothing of it is sent");

        // A code point is held back; what can't continue it is refused, what can is not.
        in_time(stream.write_all(b"\xe2\x82")).await.unwrap();
        let error = in_time(stream.write(b"A")).await.unwrap_err();
        assert_eq!(cause(&error), &Error::NotUtf8);
        over.flush(&mut stream).await;
        assert!(peer.received().is_empty());
        in_time(stream.write_all(b"\xac!")).await.unwrap();
        over.flush(&mut stream).await;
        assert_eq!(frames::payload(&peer.frames()), "€!".as_bytes());
    }
}

over_all!(ending_in_half_a_code_point_is_an_error);
async fn ending_in_half_a_code_point_is_an_error(over: Over) {
    for role in ROLES {
        let (mut stream, peer) = stream_over(over, role, PayloadType::Text);
        in_time(stream.write_all(b"ok \xf0\x9f\x98")).await.unwrap();
        let error = in_time(stream.shutdown()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidData);
        assert_eq!(cause(&error), &Error::UnfinishedCodePoint);
        let error = in_time(stream.close(1000, "")).await.unwrap_err();
        assert_eq!(cause(&error), &Error::UnfinishedCodePoint);
        over.flush(&mut stream).await;
        assert_eq!(frames::payload(&peer.frames()), b"ok ", "no Close that would look complete");

        // The rest may still come.
        in_time(stream.write_all(b"\x80")).await.unwrap();
        in_time(stream.shutdown()).await.unwrap();
        let frames = peer.frames();
        assert_eq!(frames[0].payload, "😀".as_bytes());
        assert_eq!(frames[1].opcode, CLOSE);
    }
}
