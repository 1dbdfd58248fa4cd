//! Against independent implementations: 16 MiB each way at once, bit-exact, and a clean end.

mod common;

use common::{ROLES, bytes, in_time};
use fastwebsockets_stream::{
    PayloadType, WebSocketStream,
    fastwebsockets::{CloseCode, Role},
};
use futures_util::{Sink, SinkExt, Stream, StreamExt};
use std::fmt::Debug;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

const LEN: usize = 16 << 20;

/// Sizes of messages and writes: small ones, each length of a length, large ones.
fn sizes() -> impl Iterator<Item = usize> {
    [1, 60_000, 125, 126, 65_535, 65_536, 300_000, 7, 4_096, 1 << 20].into_iter().cycle()
}

/// What is sent: any bytes, or for text ASCII with wider characters in between.
fn content(payload_type: PayloadType) -> Vec<u8> {
    match payload_type {
        PayloadType::Binary => bytes(LEN),
        PayloadType::Text => {
            let mut text = "mixed: é, €, 😀; ".repeat(LEN / 24);
            while text.len() < LEN {
                text.push('.');
            }
            text.into_bytes()
        }
    }
}

/// Cuts content into messages; those of a text hold whole code points.
fn messages(content: &[u8], payload_type: PayloadType) -> Vec<&[u8]> {
    let (mut rest, mut messages, mut sizes) = (content, Vec::new(), sizes());
    while !rest.is_empty() {
        let mut len = sizes.next().unwrap().min(rest.len());
        while payload_type == PayloadType::Text && len < rest.len() && rest[len] & 0xc0 == 0x80 {
            len += 1;
        }
        let (message, others) = rest.split_at(len);
        messages.push(message);
        rest = others;
    }
    messages
}

/// Our side: writes in all sizes while it reads, then ends and checks what came.
async fn exchange(stream: WebSocketStream<DuplexStream>, sent: &[u8]) {
    let (mut reads, mut writes) = tokio::io::split(stream);
    let write = async {
        let (mut rest, mut sizes) = (sent, sizes());
        while !rest.is_empty() {
            let n = writes.write(&rest[..sizes.next().unwrap().min(rest.len())]).await.unwrap();
            rest = &rest[n..];
        }
        writes.flush().await.unwrap();
    };
    let read = async {
        let mut received = vec![0; sent.len()];
        reads.read_exact(&mut received).await.unwrap();
        assert!(received == sent);
    };
    tokio::join!(write, read);
    let mut stream = reads.unsplit(writes);
    stream.shutdown().await.unwrap();
    assert_eq!(stream.read(&mut [0; 9]).await.unwrap(), 0);
    assert_eq!(stream.close_frame().unwrap().code(), Some(CloseCode::Normal));
}

/// The peer's side: messages out and in, by its own sink and stream.
async fn exchange_messages<W, M, E>(
    ws: W,
    sent: Vec<M>,
    payload: impl Fn(M) -> Option<Vec<u8>>,
) -> Vec<u8>
where
    W: Stream<Item = Result<M, E>> + Sink<M, Error = E>,
    E: Debug,
{
    let (mut sink, mut stream) = ws.split();
    let send = async {
        for message in sent {
            sink.feed(message).await.unwrap();
        }
        sink.flush().await.unwrap();
    };
    let receive = async {
        let mut received = Vec::new();
        while received.len() < LEN {
            received.extend(payload(stream.next().await.unwrap().unwrap()).unwrap());
        }
        received
    };
    let ((), received) = tokio::join!(send, receive);
    // The Close, and with it the end.
    while let Some(Ok(message)) = stream.next().await {
        assert!(payload(message).is_none());
    }
    received
}

#[tokio::test]
async fn tokio_tungstenite() {
    use tokio_tungstenite::tungstenite::{
        Message,
        protocol::{Role as TheirRole, WebSocketConfig},
    };
    for role in ROLES {
        for payload_type in [PayloadType::Binary, PayloadType::Text] {
            let (a, b) = duplex(100_000);
            let stream = WebSocketStream::after_handshake(a, role, payload_type);
            let their_role = match role {
                Role::Server => TheirRole::Client,
                Role::Client => TheirRole::Server,
            };
            let config = WebSocketConfig::default().max_frame_size(None).max_message_size(None);
            let content = content(payload_type);
            let messages =
                messages(&content, payload_type).into_iter().map(|message| match payload_type {
                    PayloadType::Binary => Message::binary(message.to_vec()),
                    PayloadType::Text => {
                        Message::text(std::str::from_utf8(message).unwrap().to_owned())
                    }
                });
            let peer = async {
                let ws = tokio_tungstenite::WebSocketStream::from_raw_socket(
                    b,
                    their_role,
                    Some(config),
                )
                .await;
                exchange_messages(ws, messages.collect(), |message: Message| {
                    (!message.is_close()).then(|| message.into_data().to_vec())
                })
                .await
            };
            let ((), received) =
                in_time(async { tokio::join!(exchange(stream, &content), peer) }).await;
            assert!(received == content);
        }
    }
}

#[tokio::test]
async fn tokio_websockets() {
    use tokio_websockets::{ClientBuilder, Limits, Message, ServerBuilder};
    for role in ROLES {
        for payload_type in [PayloadType::Binary, PayloadType::Text] {
            let (a, b) = duplex(100_000);
            let stream = WebSocketStream::after_handshake(a, role, payload_type);
            let limits = Limits::unlimited();
            let ws = match role {
                Role::Server => ClientBuilder::new().limits(limits).take_over(b),
                Role::Client => ServerBuilder::new().limits(limits).serve(b),
            };
            let content = content(payload_type);
            let messages =
                messages(&content, payload_type).into_iter().map(|message| match payload_type {
                    PayloadType::Binary => Message::binary(message.to_vec()),
                    PayloadType::Text => {
                        Message::text(std::str::from_utf8(message).unwrap().to_owned())
                    }
                });
            let peer = exchange_messages(ws, messages.collect(), |message: Message| {
                (!message.is_close()).then(|| message.into_payload().to_vec())
            });
            let ((), received) =
                in_time(async { tokio::join!(exchange(stream, &content), peer) }).await;
            assert!(received == content);
        }
    }
}
