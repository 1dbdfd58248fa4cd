//! What `stats` counts.

use crate::common::{
    ROLES, bytes,
    frames::{self, BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT},
    in_time, stream,
};
use fastwebsockets_stream::{Config, PayloadType, Stats};
use std::io::ErrorKind;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt};

#[tokio::test]
async fn what_comes_is_counted_in_frames_control_frames_and_bytes_of_payload() {
    for role in ROLES {
        let (mut stream, peer) = stream(role, PayloadType::Binary);
        assert_eq!(stream.stats(), Stats::default());
        peer.send(&frames::to(role, BINARY, &bytes(10)));
        peer.send(&frames::to(role, BINARY, b""));
        peer.send(&frames::to(role, PONG, b"unasked"));
        peer.send(&frames::fragment_to(role, BINARY, &bytes(70_000)));
        peer.send(&frames::to(role, PING, b"in between"));
        peer.send(&frames::to(role, CONTINUATION, &bytes(300)));
        peer.send(&frames::close_to(role, 1000, ""));
        in_time(stream.read_to_end(&mut Vec::new())).await.unwrap();
        let stats = stream.stats();
        assert_eq!((stats.bytes_read, stats.frames_read), (70_310, 4));
        assert_eq!(stats.control_frames_read, 3);
        assert_eq!((stats.bytes_written, stats.frames_written), (0, 0));
        assert_eq!(stats.control_frames_written, 2, "a pong and a Close");
    }
}

#[tokio::test]
async fn a_frame_counts_with_its_head_and_its_bytes_as_they_come() {
    for role in ROLES {
        let (mut stream, peer) = stream(role, PayloadType::Binary);
        let frame = frames::to(role, BINARY, &bytes(1000));
        peer.send(&frame[..frame.len() - 400]);
        assert_eq!(in_time(stream.read(&mut [0; 2000])).await.unwrap(), 600);
        assert_eq!((stream.stats().bytes_read, stream.stats().frames_read), (600, 1));
        peer.send(&frame[frame.len() - 400..]);
        assert_eq!(in_time(stream.fill_buf()).await.unwrap().len(), 400);
        assert_eq!((stream.stats().bytes_read, stream.stats().frames_read), (1000, 1));
    }
}

#[tokio::test]
async fn what_is_written_is_counted_when_it_is_accepted() {
    for role in ROLES {
        let (mut stream, peer) = stream(role, Config::new().max_frame_size(1000));
        peer.take_only(5);
        in_time(stream.write_all(&bytes(2500))).await.unwrap();
        let stats = stream.stats();
        assert_eq!((stats.bytes_written, stats.frames_written), (2500, 3));
        peer.take_all();
        in_time(stream.shutdown()).await.unwrap();
        assert_eq!(in_time(stream.write(b"x")).await.unwrap_err().kind(), ErrorKind::BrokenPipe);
        let sent = peer.frames();
        assert_eq!(sent.iter().filter(|frame| frame.opcode == BINARY).count(), 3);
        assert_eq!(sent.iter().filter(|frame| frame.opcode == CLOSE).count(), 1);
        let stats = stream.stats();
        assert_eq!((stats.bytes_written, stats.frames_written), (2500, 3));
        assert_eq!(stats.control_frames_written, 1);
    }
}

#[tokio::test]
async fn a_part_of_a_code_point_is_accepted_without_a_frame() {
    for role in ROLES {
        let (mut stream, peer) = stream(role, PayloadType::Text);
        in_time(stream.write_all(&"€".as_bytes()[..2])).await.unwrap();
        assert_eq!((stream.stats().bytes_written, stream.stats().frames_written), (2, 0));
        assert_eq!(in_time(stream.write(b"!")).await.unwrap_err().kind(), ErrorKind::InvalidData);
        assert_eq!(stream.stats().bytes_written, 2);
        in_time(stream.write_all(&"€".as_bytes()[2..])).await.unwrap();
        assert_eq!((stream.stats().bytes_written, stream.stats().frames_written), (3, 1));
        assert_eq!(peer.frames()[0].opcode, TEXT);
    }
}
