//! The server's handshake with a client that asks for anything.
#![no_main]

mod http;

use fastwebsockets_stream::{PayloadType, server::Acceptor};
use hyper::{Request, body::Incoming, service::service_fn};
use hyper_util::rt::TokioIo;
use std::{cell::RefCell, convert::Infallible, rc::Rc};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    let Some((setting, request)) = input.split_first() else {
        return;
    };
    let mut acceptor = Acceptor::new().config(PayloadType::Binary).subprotocols(["mqtt", "other"]);
    if setting & 1 != 0 {
        acceptor = acceptor.no_masking(true);
    }
    if setting & 2 != 0 {
        acceptor = acceptor.allow_origin("https://app.example.com");
    }
    http::run(exchange(acceptor, request));
});

async fn exchange(acceptor: Acceptor, request: &[u8]) {
    let (mut client, ours) = tokio::io::duplex(1 << 20);
    let accepted = Rc::new(RefCell::new(None));
    let service = service_fn(|mut request: Request<Incoming>| {
        let response = match acceptor.accept(&mut request) {
            Ok((response, upgrade)) => {
                assert_eq!(request.method(), "GET");
                accepted.borrow_mut().replace((request.headers().clone(), upgrade));
                response
            }
            Err(refused) => {
                let response = refused.response();
                assert!(response.status().is_client_error() || response.status().is_server_error());
                response
            }
        };
        async { Ok::<_, Infallible>(response) }
    });
    let connection = hyper::server::conn::http1::Builder::new()
        .half_close(true)
        .serve_connection(TokioIo::new(ours), service)
        .with_upgrades();
    let send = async {
        client.write_all(request).await.unwrap();
        client.shutdown().await.unwrap();
        let mut answer = Vec::new();
        client.read_to_end(&mut answer).await.unwrap();
        String::from_utf8_lossy(&answer).into_owned()
    };
    let serve = async {
        let _ended = connection.await;
        let (headers, upgrade) = accepted.borrow_mut().take()?;
        if let Ok(mut stream) = upgrade.await {
            let _end = stream.read_to_end(&mut Vec::new()).await;
        }
        Some(headers)
    };
    let (answer, headers) = tokio::join!(send, serve);
    let Some(headers) = headers else {
        return;
    };

    // RFC 6455 section 4.2.1: what the request must have had.
    let one = |name: &str| {
        let values: Vec<_> = headers.get_all(name).into_iter().collect();
        (values.len() == 1).then(|| String::from_utf8_lossy(values[0].as_bytes()).into_owned())
    };
    assert_eq!(one("sec-websocket-version").as_deref(), Some("13"));
    let key = one("sec-websocket-key").expect("one key");
    assert_eq!(key.len(), 24);
    for (name, token) in [("connection", "upgrade"), ("upgrade", "websocket")] {
        let value = headers.get_all(name).into_iter().flat_map(|value| value.as_bytes().to_vec());
        assert!(
            String::from_utf8_lossy(&value.collect::<Vec<u8>>()).to_lowercase().contains(token)
        );
    }
    // Section 4.2.2: what the answer must have. Frames may follow, with anything in a pong.
    let at = answer.find("HTTP/1.1 101 ").expect("an upgrade");
    let head = answer[at..].split("\r\n\r\n").next().unwrap_or_default();
    assert_eq!(http::values(head, "sec-websocket-accept"), [http::accept(&key)]);
    for chosen in http::values(head, "sec-websocket-protocol") {
        assert!(matches!(chosen, "mqtt" | "other"));
    }
    for extension in http::values(head, "sec-websocket-extensions") {
        assert_eq!(extension, "no-masking");
    }
}
