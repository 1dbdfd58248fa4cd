//! Bad peers on HTTP/2.

use crate::{
    Stage,
    bad_frames::{BadFrames, Wire},
    common::bytes,
    over_http1::{connect, send_to_the_end},
};
use fastwebsockets_stream::Windows;
use h2::{RecvStream, SendStream, client::SendRequest, ext::Protocol};
use hyper::{Method, Request, StatusCode, Version, body::Bytes};
use std::{future::poll_fn, iter, net::SocketAddr};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinSet,
};

/// WebSockets on each connection.
pub(crate) const STREAMS: usize = 100;

/// What the server may send on each that isn't read.
const WINDOW: u32 = 64 * 1024;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Types of frames (RFC 9113 section 6).
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const CONTINUATION: u8 = 9;

/// Flags (RFC 9113 section 6).
const ACK: u8 = 0x1;
const END_STREAM: u8 = 0x1;
const END_HEADERS: u8 = 0x4;

#[derive(Clone, Copy, Debug)]
pub(crate) enum Bad {
    HalfOfThePreface,
    OnlyThePreface,
    GarbageAfterThePreface,
    /// As many frames of headers as are taken, and no end of them.
    StalledHeaders,
    /// HTTP/2's own pings, without reading the answers.
    PingFlood,
    /// 100 KiB.
    HugeHeader,
    /// Requests, each reset at once.
    RequestsAndResets,
    /// WebSockets, each reset as soon as it is open.
    OpensAndResets,
}

impl Bad {
    pub(crate) async fn run(self, address: SocketAddr, stage: Stage) {
        match self {
            Self::HalfOfThePreface => ended(address, &PREFACE[..12]).await,
            Self::OnlyThePreface => ended(address, PREFACE).await,
            Self::GarbageAfterThePreface => ended(address, &[PREFACE, &bytes(1000)].concat()).await,
            Self::StalledHeaders => ended(address, &[start(), stalled_headers()].concat()).await,
            Self::PingFlood => {
                let pings = frame(PING, 0, 0, &[0; 8]).repeat(20_000);
                ended(address, &[start(), pings].concat()).await;
            }
            Self::HugeHeader => huge_header(address).await,
            Self::RequestsAndResets => return requests_and_resets(address, stage).await,
            Self::OpensAndResets => return opens_and_resets(address, stage).await,
        }
        stage.hold().await;
    }
}

/// The server has to end the connection.
async fn ended(address: SocketAddr, bytes: &[u8]) {
    send_to_the_end(&mut connect(address).await, bytes).await;
}

async fn huge_header(address: SocketAddr) {
    let (mut sender, _driving) = open_connection(address).await;
    let request = websocket().header("x", "x".repeat(100 * 1024)).body(()).unwrap();
    let (response, _send) = sender.send_request(request, false).unwrap();
    // That it ends the whole connection is the server's right, too.
    if let Ok(response) = response.await {
        assert_eq!(response.status(), StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
    }
}

async fn requests_and_resets(address: SocketAddr, stage: Stage) {
    let mut tcp = connect(address).await;
    let mut flood = start();
    for stream in (1..2000).step_by(2) {
        flood.extend(frame(HEADERS, END_STREAM | END_HEADERS, stream, &get_headers()));
        flood.extend(reset(stream));
    }
    flood.extend(frame(PING, 0, 0, b"the last"));
    // The server may have seen enough before the end.
    if tcp.write_all(&flood).await.is_ok() {
        while let Some((kind, flags, _, payload)) = read_frame(&mut tcp).await {
            if (kind, flags) == (PING, ACK) && payload == b"the last" {
                break;
            }
        }
    }
    stage.hold().await;
}

async fn opens_and_resets(address: SocketAddr, stage: Stage) {
    let mut tcp = connect(address).await;
    tcp.write_all(&start()).await.unwrap();
    for stream in (1..400).step_by(2) {
        tcp.write_all(&frame(HEADERS, END_HEADERS, stream, &websocket_headers())).await.unwrap();
        loop {
            let (kind, _, of, payload) = read_frame(&mut tcp).await.expect("an answer");
            if (kind, of) == (HEADERS, stream) {
                assert_eq!(payload.first(), Some(&0x88), "status 200, in HPACK");
                break;
            }
        }
        tcp.write_all(&reset(stream)).await.unwrap();
    }
    stage.hold().await;
}

/// The beginning of a connection that says no more than it must.
fn start() -> Vec<u8> {
    [PREFACE, &frame(SETTINGS, 0, 0, &[])].concat()
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let len = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&len[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// RST_STREAM with CANCEL.
fn reset(stream: u32) -> Vec<u8> {
    frame(RST_STREAM, 0, stream, &8u32.to_be_bytes())
}

/// Type, flags, stream and payload; `None` at the end.
async fn read_frame(tcp: &mut TcpStream) -> Option<(u8, u8, u32, Vec<u8>)> {
    let mut head = [0; 9];
    tcp.read_exact(&mut head).await.ok()?;
    let [a, b, c, kind, flags, d, e, f, g] = head;
    let mut payload = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
    tcp.read_exact(&mut payload).await.ok()?;
    Some((kind, flags, u32::from_be_bytes([d, e, f, g]), payload))
}

/// `:method` GET, `:scheme` http, `:path` / and an `:authority` (RFC 7541 appendix A).
fn get_headers() -> Vec<u8> {
    [&[0x82, 0x86, 0x84][..], &literal(1, "", "a")].concat()
}

/// A value of 127 bytes and 2^27, of which as much comes as h2 takes: five frames.
fn stalled_headers() -> Vec<u8> {
    let frame_size = Windows::MANY.frame as usize;
    let mut block = [&get_headers()[..], &[0, 1, b'x', 0x7f, 0x80, 0x80, 0x80, 0x40]].concat();
    block.resize(5 * frame_size, b'x');
    let mut kinds = iter::once(HEADERS).chain(iter::repeat(CONTINUATION));
    block.chunks(frame_size).flat_map(|piece| frame(kinds.next().unwrap(), 0, 1, piece)).collect()
}

fn websocket_headers() -> Vec<u8> {
    let method = literal(2, "", "CONNECT");
    let protocol = literal(0, ":protocol", "websocket");
    let version = literal(0, "sec-websocket-version", "13");
    [&method[..], &protocol, &[0x86, 0x84], &literal(1, "", "a"), &version].concat()
}

/// A header that isn't to be indexed, with the name of an index or its own (RFC 7541 section
/// 6.2.2).
fn literal(index: u8, name: &str, value: &str) -> Vec<u8> {
    let mut bytes = vec![index];
    for text in [name, value] {
        if text != name || index == 0 {
            bytes.push(u8::try_from(text.len()).unwrap());
            bytes.extend(text.bytes());
        }
    }
    bytes
}

/// Many WebSockets on one connection, with bad frames in each.
pub(crate) async fn streams(bad: BadFrames, address: SocketAddr, stage: Stage) {
    let (mut sender, _driving) = open_connection(address).await;
    let mut attacking = JoinSet::new();
    for _ in 0..STREAMS {
        let (response, send) = sender.send_request(websocket().body(()).unwrap(), false).unwrap();
        let response = response.await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        let mut stream = Stream { send, receive: response.into_body() };
        attacking.spawn(async move {
            bad.attack(&mut stream).await;
            stream
        });
    }
    // Nobody reads before all have written.
    let mut checking = JoinSet::new();
    for mut stream in attacking.join_all().await {
        checking.spawn(async move {
            bad.check(&mut stream).await;
            stream
        });
    }
    let _open = checking.join_all().await;
    stage.hold().await;
}

/// A connection on which the server's SETTINGS have come. It ends with its task.
async fn open_connection(address: SocketAddr) -> (SendRequest<Bytes>, JoinSet<()>) {
    // Streams that aren't read may not stop each other: each is to do its worst.
    let mut builder = h2::client::Builder::new();
    builder.initial_window_size(WINDOW).initial_connection_window_size(WINDOW * STREAMS as u32);
    let (sender, connection) = builder.handshake(connect(address).await).await.unwrap();
    let mut driving = JoinSet::new();
    driving.spawn(async move {
        let _ended = connection.await;
    });
    let mut sender = sender.ready().await.unwrap();
    let request = Request::get("http://a/").version(Version::HTTP_2).body(()).unwrap();
    let (response, _) = sender.send_request(request, true).unwrap();
    assert_eq!(response.await.unwrap().status(), StatusCode::METHOD_NOT_ALLOWED);
    assert!(sender.is_extended_connect_protocol_enabled());
    (sender, driving)
}

fn websocket() -> hyper::http::request::Builder {
    Request::builder()
        .method(Method::CONNECT)
        .uri("http://a/")
        .version(Version::HTTP_2)
        .extension(Protocol::from_static("websocket"))
        .header("sec-websocket-version", "13")
}

/// A stream of which nothing is read, and no window given back, unless it is asked for.
struct Stream {
    send: SendStream<Bytes>,
    receive: RecvStream,
}

impl Stream {
    /// Sends as the server's window allows.
    async fn send_in_window(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            self.send.reserve_capacity(bytes.len());
            let room = poll_fn(|cx| self.send.poll_capacity(cx)).await.unwrap().unwrap();
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            self.send.send_data(Bytes::copy_from_slice(now), false).unwrap();
            bytes = later;
        }
    }
}

impl Wire for Stream {
    async fn send(&mut self, bytes: &[u8]) {
        self.send_in_window(bytes).await;
    }

    async fn fill(&mut self, bytes: &[u8]) {
        // The window of the stream; the server may or may not give more.
        let mut left = Windows::MANY.stream as usize;
        while left > 0 {
            let now = &bytes[..bytes.len().min(left)];
            self.send_in_window(now).await;
            left -= now.len();
        }
    }

    async fn receive(&mut self) -> Option<Vec<u8>> {
        loop {
            let data = self.receive.data().await?.unwrap();
            self.receive.flow_control().release_capacity(data.len()).unwrap();
            // The end may come in a frame of its own.
            if !data.is_empty() {
                return Some(data.into());
            }
        }
    }
}
