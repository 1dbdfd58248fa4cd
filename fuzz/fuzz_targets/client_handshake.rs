//! The client's handshake with a server that answers anything.
//!
//! A byte 1 in the answer stands for the `Sec-WebSocket-Accept` that would be right.
#![no_main]

mod http;

use fastwebsockets_stream::{PayloadType, client::Builder};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};

libfuzzer_sys::fuzz_target!(|answer: &[u8]| http::run(exchange(answer)));

async fn exchange(answer: &[u8]) {
    let (ours, mut server) = tokio::io::duplex(1 << 20);
    let builder = Builder::new("wss://localhost/path")
        .subprotocols(["mqtt", "other"])
        .no_masking(true)
        .config(PayloadType::Binary);
    let serve = async {
        let request = read_head(&mut server).await;
        let accept = http::accept(http::values(&request, "sec-websocket-key")[0]);
        let mut sent = Vec::new();
        for byte in answer {
            match byte {
                1 => sent.extend(accept.bytes()),
                byte => sent.push(*byte),
            }
        }
        let _hung_up = server.write_all(&sent).await;
        let _hung_up = server.shutdown().await;
        (sent, accept)
    };
    let (connected, (sent, accept)) = tokio::join!(builder.http1(ours), serve);
    drop(server);
    let Ok((mut stream, response)) = connected else {
        return;
    };

    // RFC 6455 section 4.1: what the client must have verified.
    assert_eq!(response.status(), 101);
    let one = |name: &str| {
        let values: Vec<_> = response.headers().get_all(name).into_iter().collect();
        (values.len() == 1).then(|| values[0].to_str().unwrap().to_owned())
    };
    let has = |name: &str, token: &str| {
        let values = response.headers().get_all(name).into_iter();
        let mut tokens = values.flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
        tokens.any(|found| found.trim_ascii().eq_ignore_ascii_case(token.as_bytes()))
    };
    assert_eq!(one("sec-websocket-accept"), Some(accept));
    assert!(has("connection", "upgrade") && has("upgrade", "websocket"));
    if response.headers().contains_key("sec-websocket-protocol") {
        let chosen = one("sec-websocket-protocol").unwrap();
        assert!(matches!(chosen.trim(), "mqtt" | "other"), "{chosen}");
    }
    let extensions = response.headers().get_all("sec-websocket-extensions");
    for extension in extensions {
        assert!(extension.as_bytes().trim_ascii().eq_ignore_ascii_case(b"no-masking"));
    }
    // What came behind the answer is the stream's.
    let mut received = Vec::new();
    let _end = stream.read_to_end(&mut received).await;
    assert!(received.len() < sent.len());
}

/// Reads to the end of the head of a request.
async fn read_head(io: &mut (impl AsyncRead + Unpin)) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match io.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => break,
        }
    }
    String::from_utf8_lossy(&head).into_owned()
}
