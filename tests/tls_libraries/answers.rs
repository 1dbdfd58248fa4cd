//! What was written without a flush goes out while the answer is read.

use crate::{
    LINE,
    common::{bytes, frames::BINARY},
    everywhere,
    libraries::{BUF_STREAM, Library, TLS_LIBRARIES, libraries},
    open, task,
};
use fastwebsockets_stream::PayloadType;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, split};

/// Bytes of a request: more than the line holds, more than line and library do, and more than anybody.
const SIZES: [usize; 5] = [50_000, 100_000, 150_000, 400_000, 1_000_000];

#[tokio::test(start_paused = true)]
async fn a_request_without_a_flush_arrives_while_its_answer_is_read() {
    everywhere(&libraries(), &SIZES, async |library, role, size| {
        let (mut stream, mut peer) = open(library, role, LINE, PayloadType::Binary).await;
        let answering = task(async move {
            peer.read_payload(size).await;
            peer.send(BINARY, b"answer").await;
            peer
        });
        let request = bytes(size);
        stream.write_all(&request).await.unwrap();
        let mut answer = [0; 6];
        stream.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"answer");
        assert!(answering.await.unwrap().payload() == request);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_request_without_a_flush_arrives_while_its_answer_is_read_through_the_buffer() {
    everywhere(&libraries(), &SIZES, async |library, role, size| {
        let (mut stream, mut peer) = open(library, role, LINE, PayloadType::Binary).await;
        let answering = task(async move {
            peer.read_payload(size).await;
            peer.send(BINARY, b"answer\n").await;
        });
        stream.write_all(&bytes(size)).await.unwrap();
        let mut answer = String::new();
        stream.read_line(&mut answer).await.unwrap();
        assert_eq!(answer, "answer\n");
        answering.await.unwrap();
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_response_without_a_flush_arrives_while_the_next_request_is_read() {
    everywhere(&libraries(), &SIZES, async |library, role, size| {
        let (mut stream, mut peer) = open(library, role, LINE, PayloadType::Binary).await;
        let asking = task(async move {
            for n in 1..=3 {
                peer.send(BINARY, b"request").await;
                peer.read_payload(n * size).await;
            }
            peer.send(BINARY, b"bye").await;
            peer
        });
        let response = bytes(size);
        for _ in 1..=3 {
            let mut request = [0; 7];
            stream.read_exact(&mut request).await.unwrap();
            assert_eq!(&request, b"request");
            stream.write_all(&response).await.unwrap();
        }
        let mut bye = [0; 3];
        stream.read_exact(&mut bye).await.unwrap();
        assert!(asking.await.unwrap().payload() == response.repeat(3));
    })
    .await;
}

/// The reader waits before the request is written.
async fn a_request_arrives_while_another_task_reads(libraries: &[Library]) {
    everywhere(libraries, &SIZES, async |library, role, size| {
        let (stream, mut peer) = open(library, role, LINE, PayloadType::Binary).await;
        let answering = task(async move {
            peer.read_payload(size).await;
            peer.send(BINARY, b"answer").await;
        });
        let (mut reads, mut writes) = split(stream);
        let reading = task(async move {
            let mut answer = [0; 6];
            reads.read_exact(&mut answer).await.unwrap();
            assert_eq!(&answer, b"answer");
        });
        // The reader waits already, and this task does nothing more for the stream.
        tokio::task::yield_now().await;
        writes.write_all(&bytes(size)).await.unwrap();
        reading.await.unwrap();
        answering.await.unwrap();
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_request_without_a_flush_arrives_while_another_task_reads_its_answer() {
    a_request_arrives_while_another_task_reads(TLS_LIBRARIES).await;
}

#[tokio::test(start_paused = true)]
async fn a_request_in_a_buf_stream_arrives_while_another_task_reads_its_answer() {
    a_request_arrives_while_another_task_reads(BUF_STREAM).await;
}
