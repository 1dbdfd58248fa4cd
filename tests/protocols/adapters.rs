//! The adapters of tokio and tokio-util.

use crate::{
    common::{ROLES, bytes, frames, stream},
    each_way,
};
use bytes::Bytes;
use fastwebsockets_stream::{Config, PayloadType};
use futures_util::{StreamExt, TryStreamExt};
use std::{
    cell::RefCell,
    io::{ErrorKind, Read, Write},
    rc::Rc,
};
use tokio::{
    io::{
        AsyncBufRead, AsyncBufReadExt, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader,
        BufStream, BufWriter, Lines, copy_buf,
    },
    join,
    task::spawn_blocking,
    try_join,
};
use tokio_util::{
    codec::{BytesCodec, FramedWrite},
    io::{
        CopyToBytes, InspectReader, InspectWriter, ReaderStream, SinkWriter, StreamReader,
        SyncIoBridge,
    },
};

/// What is sent, where its size matters.
const LEN: usize = 3 << 20;

async fn send(mut writer: impl AsyncWrite + Unpin, bytes: &[u8]) {
    writer.write_all(bytes).await.unwrap();
    writer.shutdown().await.unwrap();
}

#[tokio::test]
async fn streams_and_sinks_of_bytes_and_back() {
    each_way(Config::new(), async |one, other| {
        let sink = FramedWrite::new(one, BytesCodec::new());
        let writer = SinkWriter::new(CopyToBytes::new(sink));
        let mut reader = StreamReader::new(ReaderStream::new(other));
        let mut received = Vec::new();
        let sent = bytes(LEN);
        let ((), read) = join!(send(writer, &sent), reader.read_to_end(&mut received));
        read.unwrap();
        assert!(received == sent);
    })
    .await;
}

#[tokio::test]
async fn a_reader_stream_ends_with_the_close_and_fails_without() {
    each_way(Config::new(), async |one, other| {
        send(one, b"all of it").await;
        let chunks: Vec<Bytes> = ReaderStream::new(other).try_collect().await.unwrap();
        assert_eq!(chunks.concat(), b"all of it");
    })
    .await;
    each_way(Config::new(), async |mut one, other| {
        one.write_all(b"a part").await.unwrap();
        one.flush().await.unwrap();
        drop(one);
        let mut chunks = ReaderStream::new(other);
        assert_eq!(chunks.next().await.unwrap().unwrap(), "a part");
        assert_eq!(chunks.next().await.unwrap().unwrap_err().kind(), ErrorKind::UnexpectedEof);
        assert!(chunks.next().await.is_none());
    })
    .await;
}

#[tokio::test]
async fn inspectors_see_what_is_written_and_read() {
    each_way(Config::new(), async |one, other| {
        let written = Rc::new(RefCell::new(Vec::new()));
        let read = Rc::new(RefCell::new(Vec::new()));
        let writer = InspectWriter::new(one, |bytes| written.borrow_mut().extend_from_slice(bytes));
        let mut reader =
            InspectReader::new(other, |bytes| read.borrow_mut().extend_from_slice(bytes));
        let mut received = Vec::new();
        let sent = bytes(LEN);
        let ((), ended) = join!(send(writer, &sent), reader.read_to_end(&mut received));
        ended.unwrap();
        assert!(received == sent && *written.borrow() == sent && *read.borrow() == sent);
    })
    .await;
}

#[tokio::test]
async fn blocking_code_reads_and_writes_through_a_bridge() {
    each_way(Config::new(), async |one, other| {
        let (mut one, mut other) = (SyncIoBridge::new(one), SyncIoBridge::new(other));
        let ask = spawn_blocking(move || {
            one.write_all(&bytes(LEN)).unwrap();
            let mut answer = String::new();
            one.read_to_string(&mut answer).unwrap();
            answer
        });
        let answer = spawn_blocking(move || {
            let mut received = vec![0; LEN];
            other.read_exact(&mut received).unwrap();
            other.write_all(b"got it").unwrap();
            other.shutdown().unwrap();
            received
        });
        let (answer, received) = try_join!(ask, answer).unwrap();
        assert!(received == bytes(LEN));
        assert_eq!(answer, "got it");
    })
    .await;
}

/// That these are the lines of the text, and no more.
async fn expect_lines(mut lines: Lines<impl AsyncBufRead + Unpin>, text: &str) {
    for line in text.lines() {
        assert_eq!(lines.next_line().await.unwrap().unwrap(), line);
    }
    assert_eq!(lines.next_line().await.unwrap(), None);
}

#[tokio::test]
async fn lines_with_and_without_a_buffer_around_the_stream() {
    let text = "one\n\nzwei, drei: äöüß\r\n四五六七八九十\nthe last one has no end".repeat(100);
    // Pieces that cut lines and characters.
    let send_pieces = async |mut writer: crate::Stream| {
        for piece in text.as_bytes().chunks(7) {
            writer.write_all(piece).await.unwrap();
        }
        writer.shutdown().await.unwrap();
    };
    for payload_type in [PayloadType::Text, PayloadType::Binary] {
        each_way(payload_type, async |one, other| {
            join!(send_pieces(one), expect_lines(BufReader::new(other).lines(), &text));
        })
        .await;
        each_way(payload_type, async |one, other| {
            join!(send_pieces(one), expect_lines(other.lines(), &text));
        })
        .await;
    }
}

#[tokio::test]
async fn the_stream_is_a_buffered_reader_itself() {
    each_way(Config::new(), async |one, mut other| {
        let (body, sent) = (bytes(LEN), [b"head;", &bytes(LEN)[..]].concat());
        let read = async {
            let mut head = Vec::new();
            other.read_until(b';', &mut head).await.unwrap();
            assert_eq!(head, b"head;");
            let mut rest = Vec::new();
            copy_buf(&mut other, &mut rest).await.unwrap();
            assert!(rest == body);
        };
        join!(send(one, &sent), read);
    })
    .await;
}

#[tokio::test]
async fn one_flush_of_a_buffered_writer_is_one_frame() {
    for role in ROLES {
        let (stream, peer) = stream(role, Config::new());
        let mut writer = BufWriter::new(stream);
        for byte in bytes(1000) {
            writer.write_u8(byte).await.unwrap();
        }
        assert!(peer.writes().is_empty());
        writer.flush().await.unwrap();
        let sent = frames::parse(&peer.writes().concat());
        assert_eq!(sent.len(), 1);
        assert_eq!(sent[0].payload, bytes(1000));
    }
}

#[tokio::test]
async fn questions_and_answers_through_buffers_in_both_directions() {
    each_way(Config::new(), async |one, other| {
        let (mut one, mut other) = (BufStream::new(one), BufStream::new(other));
        let ask = async {
            for number in 0..500 {
                one.write_u32(number).await.unwrap();
                one.flush().await.unwrap();
                assert_eq!(one.read_u64().await.unwrap(), u64::from(number) * 3);
            }
            one.shutdown().await.unwrap();
        };
        let answer = async {
            for _ in 0..500 {
                let number = other.read_u32().await.unwrap();
                other.write_u64(u64::from(number) * 3).await.unwrap();
                other.flush().await.unwrap();
            }
            assert_eq!(other.read_u32().await.unwrap_err().kind(), ErrorKind::UnexpectedEof);
        };
        join!(ask, answer);
    })
    .await;
}
