//! What `guide::comparison` says that other crates do with a peer's bytes. Each is a client.

use futures_util::StreamExt;
use std::io::ErrorKind;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

/// A message, and the end of the transport without a Close.
const CUT: &[u8] = b"\x82\x02hi";

/// A ping, an empty message, a message, and a Close.
const CONTROL: &[u8] = b"\x89\x04ping\x82\x00\x82\x02hi\x88\x02\x03\xe8";

/// A transport on which a server has sent this and nothing more. What the client sends is read.
async fn server_sends(bytes: &[u8]) -> DuplexStream {
    let (mut server, client) = duplex(1024);
    server.write_all(bytes).await.unwrap();
    tokio::spawn(async move {
        server.shutdown().await.unwrap();
        server.read_to_end(&mut Vec::new()).await.unwrap();
    });
    client
}

/// All that a stream gives, and how it ends.
async fn read_all(mut stream: impl AsyncRead + Unpin) -> (Vec<u8>, Result<(), ErrorKind>) {
    let mut bytes = Vec::new();
    let end = stream.read_to_end(&mut bytes).await;
    (bytes, end.map(|_| ()).map_err(|error| error.kind()))
}

mod this_crate {
    use super::*;
    use fastwebsockets_stream::{PayloadType, WebSocketStream, fastwebsockets::Role};

    async fn stream(bytes: &[u8]) -> WebSocketStream<DuplexStream> {
        let io = server_sends(bytes).await;
        WebSocketStream::after_handshake(io, Role::Client, PayloadType::Binary)
    }

    #[tokio::test]
    async fn a_peer_that_went_without_a_close_is_unexpected_eof() {
        let read = read_all(stream(CUT).await).await;
        assert_eq!(read, (b"hi".to_vec(), Err(ErrorKind::UnexpectedEof)));
    }

    #[tokio::test]
    async fn control_frames_and_empty_messages_are_no_bytes_and_no_end() {
        assert_eq!(read_all(stream(CONTROL).await).await, (b"hi".to_vec(), Ok(())));
    }
}

mod published_0_1_2 {
    use super::*;
    use fastwebsockets::{Role, WebSocket};
    use published::{PayloadType, WebSocketStream};
    use std::time::Duration;

    fn stream(io: DuplexStream) -> WebSocketStream<DuplexStream> {
        WebSocketStream::new(WebSocket::after_handshake(io, Role::Client), PayloadType::Binary)
    }

    #[tokio::test]
    async fn a_peer_that_went_without_a_close_is_an_error() {
        let read = read_all(stream(server_sends(CUT).await)).await;
        assert_eq!(read, (b"hi".to_vec(), Err(ErrorKind::Other)));
    }

    #[tokio::test]
    async fn a_write_while_a_read_waits_is_an_error() {
        let (io, _server) = duplex(1024);
        let (mut reads, mut writes) = tokio::io::split(stream(io));
        let mut memory = [0; 1];
        let waiting = tokio::time::timeout(Duration::from_millis(1), reads.read(&mut memory));
        waiting.await.expect_err("nothing comes");
        writes.write_all(b"hi").await.expect_err("the read has the socket");
    }
}

mod ws_stream_tungstenite_0_15 {
    use super::*;
    use async_tungstenite::{WebSocketStream, tokio::TokioAdapter, tungstenite::protocol::Role};
    use ws_stream_tungstenite::WsStream;

    #[tokio::test]
    async fn a_peer_that_went_without_a_close_is_the_end_of_the_file() {
        let io = TokioAdapter::new(server_sends(CUT).await);
        let ws = WebSocketStream::from_raw_socket(io, Role::Client, None).await;
        assert_eq!(read_all(WsStream::new(ws)).await, (b"hi".to_vec(), Ok(())));
    }
}

mod async_tungstenite_0_35 {
    use super::*;
    use async_tungstenite_newest::{
        ByteReader, WebSocketReceiver, WebSocketSender, WebSocketStream, tokio::TokioAdapter,
        tungstenite::protocol::Role,
    };

    type Io = TokioAdapter<DuplexStream>;

    async fn halves(bytes: &[u8]) -> (WebSocketSender<Io>, ByteReader<WebSocketReceiver<Io>>) {
        let io = TokioAdapter::new(server_sends(bytes).await);
        let (sender, receiver) =
            WebSocketStream::from_raw_socket(io, Role::Client, None).await.split();
        (sender, ByteReader::new(receiver))
    }

    #[tokio::test]
    async fn a_peer_that_went_without_a_close_is_an_error() {
        let (_sender, reader) = halves(CUT).await;
        assert_eq!(read_all(reader).await, (b"hi".to_vec(), Err(ErrorKind::Other)));
    }

    #[tokio::test]
    async fn a_ping_is_data_and_an_empty_message_the_end_of_the_file() {
        let (_sender, reader) = halves(CONTROL).await;
        assert_eq!(read_all(reader).await, (b"ping".to_vec(), Ok(())));
    }
}

mod tokio_websockets_0_13 {
    use super::*;
    use tokio_websockets::ClientBuilder;

    #[tokio::test]
    async fn a_peer_that_went_without_a_close_is_the_end() {
        let mut ws = ClientBuilder::new().take_over(server_sends(CUT).await);
        assert!(ws.next().await.unwrap().unwrap().is_binary());
        assert!(ws.next().await.is_none());
    }

    #[tokio::test]
    async fn control_and_empty_messages_are_for_the_caller_to_leave_out() {
        let mut ws = ClientBuilder::new().take_over(server_sends(CONTROL).await);
        assert!(ws.next().await.unwrap().unwrap().is_ping());
        assert!(ws.next().await.unwrap().unwrap().as_payload().is_empty());
    }
}

mod tokio_tungstenite_0_30 {
    use super::*;
    use tokio_tungstenite::{WebSocketStream, tungstenite::protocol::Role};

    #[tokio::test]
    async fn a_peer_that_went_without_a_close_is_an_error() {
        let io = server_sends(CUT).await;
        let mut ws = WebSocketStream::from_raw_socket(io, Role::Client, None).await;
        assert!(ws.next().await.unwrap().unwrap().is_binary());
        ws.next().await.unwrap().unwrap_err();
    }
}

mod yawc_0_5 {
    use super::*;
    use yawc::{Options, Role, WebSocket};

    #[tokio::test]
    async fn a_peer_that_went_without_a_close_is_the_end() {
        let io = server_sends(CUT).await;
        let mut ws = WebSocket::from_stream(io, Role::Client, Options::default()).unwrap();
        assert_eq!(ws.next().await.unwrap().payload(), &b"hi"[..]);
        assert!(ws.next().await.is_none());
    }
}
