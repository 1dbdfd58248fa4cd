//! TLS inside of a WebSocket: whoever is between the two ends sees neither bytes nor names.

use crate::{Stream, common::bytes, each_way};
use fastwebsockets_stream::{
    Config,
    client::rustls::{
        ClientConfig, RootCertStore, ServerConfig,
        crypto::ring::default_provider,
        pki_types::{PrivateKeyDer, ServerName},
    },
};
use std::{
    io::ErrorKind,
    sync::{Arc, OnceLock},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, split},
    join,
};
use tokio_rustls::{TlsAcceptor, TlsConnector, TlsStream};

const LEN: usize = 8 << 20;

/// What the two ends know of each other.
fn configs() -> &'static (TlsConnector, TlsAcceptor) {
    static CONFIGS: OnceLock<(TlsConnector, TlsAcceptor)> = OnceLock::new();
    CONFIGS.get_or_init(|| {
        let made = rcgen::generate_simple_self_signed(["inside".to_owned()]).unwrap();
        let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(made.cert.der().clone()).unwrap();
        let provider = Arc::new(default_provider());
        let client = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let server = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)
            .unwrap();
        (Arc::new(client).into(), Arc::new(server).into())
    })
}

async fn handshake(one: Stream, other: Stream) -> (TlsStream<Stream>, TlsStream<Stream>) {
    let (connector, acceptor) = configs();
    let name = ServerName::try_from("inside").unwrap();
    let (client, server) = join!(connector.connect(name, one), acceptor.accept(other));
    (client.unwrap().into(), server.unwrap().into())
}

#[tokio::test]
async fn much_goes_both_ways_at_once() {
    each_way(Config::new(), async |one, other| {
        let exchange = async |stream| {
            let (mut reads, mut writes) = split(stream);
            let mut received = vec![0; LEN];
            let sent = bytes(LEN);
            let write = async {
                writes.write_all(&sent).await.unwrap();
                writes.flush().await.unwrap();
            };
            let ((), read) = join!(write, reads.read_exact(&mut received));
            read.unwrap();
            assert!(received == sent);
        };
        let (client, server) = handshake(one, other).await;
        join!(exchange(client), exchange(server));
    })
    .await;
}

#[tokio::test]
async fn an_end_is_close_notify_and_then_a_close() {
    each_way(Config::new(), async |one, other| {
        let (mut client, mut server) = handshake(one, other).await;
        client.write_all(b"that was all").await.unwrap();
        client.shutdown().await.unwrap();
        let mut received = String::new();
        server.read_to_string(&mut received).await.unwrap();
        assert_eq!(received, "that was all");
        server.shutdown().await.unwrap();
        assert_eq!(client.read(&mut [0]).await.unwrap(), 0);

        // What TLS didn't need to look at any more: nothing but the Close of the other end.
        for mut stream in [client, server] {
            let (websocket, _) = stream.get_mut();
            assert_eq!(websocket.read(&mut [0]).await.unwrap(), 0);
            assert!(websocket.close_frame().unwrap().is_normal());
        }
    })
    .await;
}

#[tokio::test]
async fn the_directions_end_one_by_one() {
    each_way(Config::new().half_close(true), async |one, other| {
        let (mut client, mut server) = handshake(one, other).await;
        client.shutdown().await.unwrap();
        assert_eq!(server.read(&mut [0]).await.unwrap(), 0);
        let answer = bytes(LEN);
        let write = async {
            server.write_all(&answer).await.unwrap();
            server.shutdown().await.unwrap();
        };
        let mut received = Vec::new();
        let ((), read) = join!(write, client.read_to_end(&mut received));
        read.unwrap();
        assert!(received == answer);
    })
    .await;
}

/// Somebody in the middle can end the WebSocket as if all was well. TLS notices.
#[tokio::test]
async fn a_close_without_close_notify_is_an_unexpected_end() {
    each_way(Config::new(), async |one, other| {
        let (mut client, mut server) = handshake(one, other).await;
        client.write_all(b"a part").await.unwrap();
        client.flush().await.unwrap();
        client.get_mut().0.shutdown().await.unwrap();
        let mut received = Vec::new();
        let error = server.read_to_end(&mut received).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
        assert_eq!(received, b"a part");
    })
    .await;
}

#[tokio::test]
async fn a_websocket_that_is_cut_off_is_an_unexpected_end() {
    each_way(Config::new(), async |one, other| {
        let (mut client, mut server) = handshake(one, other).await;
        // A TCP socket that is dropped with unread bytes, such as session tickets, is reset.
        server.write_all(b"hello").await.unwrap();
        server.flush().await.unwrap();
        client.read_exact(&mut [0; 5]).await.unwrap();
        client.write_all(b"a part").await.unwrap();
        client.flush().await.unwrap();
        drop(client);
        let mut received = Vec::new();
        let error = server.read_to_end(&mut received).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
        assert_eq!(received, b"a part");
    })
    .await;
}
