//! Faults in the middle of a transfer.

use crate::{
    http::{Server, Stream, VERSIONS, Version},
    leftovers::leaves_nothing,
    pattern::{BOUND, pattern, read_on, read_some, write_on},
    process::{Process, transfer},
    relay::Relay,
};
use fastwebsockets_stream::{
    Config,
    client::{Builder, Http2},
    server::{Acceptor, Upgrade},
};
use std::{
    io::{self, ErrorKind},
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::mpsc,
    time::{Instant, sleep, timeout},
};

/// Read before the fault, so that it comes in mid-transfer.
const BEFORE: usize = 1 << 20;

async fn open(address: SocketAddr, version: Version, config: Config) -> Stream {
    let builder = Builder::new(format!("ws://{address}/")).config(config);
    let tcp = TcpStream::connect(address).await.unwrap();
    tcp.set_nodelay(true).unwrap();
    let opened = match version {
        Version::Http1 => builder.http1(tcp).await,
        Version::Http2 => builder.http2(&Http2::handshake(tcp).await.unwrap()).await,
    };
    opened.unwrap().0
}

/// A server that hands its streams to the test.
async fn server(config: Config) -> (Server, mpsc::UnboundedReceiver<Stream>) {
    let (accepted, streams) = mpsc::unbounded_channel();
    let server = Server::start(Acceptor::new().config(config), move |upgrade: Upgrade| {
        let accepted = accepted.clone();
        async move {
            accepted.send(upgrade.await.unwrap()).unwrap();
        }
    })
    .await;
    (server, streams)
}

/// A connection that is lost: cut off in order, reset, or as hyper reports either over HTTP/2.
fn assert_lost(error: &io::Error, version: Version) {
    let expected: &[ErrorKind] = match version {
        Version::Http1 => {
            &[ErrorKind::UnexpectedEof, ErrorKind::ConnectionReset, ErrorKind::BrokenPipe]
        }
        Version::Http2 => &[
            ErrorKind::UnexpectedEof,
            ErrorKind::ConnectionReset,
            ErrorKind::BrokenPipe,
            ErrorKind::Other,
        ],
    };
    assert!(expected.contains(&error.kind()), "{version:?}: {:?} {error}", error.kind());
}

/// Reads on to the fault, and once more.
async fn reads_to_the_fault(stream: &mut Stream, version: Version, place: u64) {
    let (end, place) = read_on(stream, place).await;
    assert_lost(&end.expect_err("a truncated stream isn't complete"), version);
    assert!(place >= BEFORE as u64);
    let (again, more) = read_on(stream, 0).await;
    assert_lost(&again.unwrap_err(), version);
    assert_eq!(more, 0, "nothing after the error");
    assert!(!stream.is_closed());
    let error = timeout(BOUND, stream.write(b"x")).await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::BrokenPipe);
}

/// Writes on to the fault, and once more.
async fn writes_to_the_fault(stream: &mut Stream, version: Version) {
    let (error, _) = timeout(BOUND, write_on(stream)).await.expect("in time");
    assert_lost(&error, version);
    let error = timeout(BOUND, stream.write(b"x")).await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::BrokenPipe);
}

#[test]
fn the_server_is_killed_while_it_writes() {
    for version in VERSIONS {
        leaves_nothing(async {
            let (process, address) = Process::server("writes");
            let mut stream = open(address, version, Config::new()).await;
            read_some(&mut stream, 0, BEFORE).await;
            process.kill();
            reads_to_the_fault(&mut stream, version, BEFORE as u64).await;
        });
    }
}

#[test]
fn the_server_is_killed_while_it_reads() {
    for version in VERSIONS {
        leaves_nothing(async {
            let (process, address) = Process::server("reads");
            let mut stream = open(address, version, Config::new()).await;
            stream.write_all(&pattern(0, BEFORE)).await.unwrap();
            process.kill();
            writes_to_the_fault(&mut stream, version).await;
        });
    }
}

#[test]
fn the_client_is_killed_while_it_writes() {
    for version in VERSIONS {
        leaves_nothing(async {
            let (server, mut streams) = server(Config::new()).await;
            let process = Process::client("writes", server.address, version);
            let mut stream = timeout(BOUND, streams.recv()).await.unwrap().unwrap();
            read_some(&mut stream, 0, BEFORE).await;
            process.kill();
            reads_to_the_fault(&mut stream, version, BEFORE as u64).await;
        });
    }
}

#[test]
fn the_client_is_killed_while_it_reads() {
    for version in VERSIONS {
        leaves_nothing(async {
            let (server, mut streams) = server(Config::new()).await;
            let process = Process::client("reads", server.address, version);
            let mut stream = timeout(BOUND, streams.recv()).await.unwrap().unwrap();
            stream.write_all(&pattern(0, BEFORE)).await.unwrap();
            process.kill();
            writes_to_the_fault(&mut stream, version).await;
        });
    }
}

#[test]
fn the_connection_is_reset() {
    for version in VERSIONS {
        leaves_nothing(async {
            let (server, mut streams) = server(Config::new()).await;
            let relay = Relay::start(server.address).await;
            let mut reader = open(relay.address, version, Config::new()).await;
            let mut writer = timeout(BOUND, streams.recv()).await.unwrap().unwrap();
            let read = async {
                read_some(&mut reader, 0, BEFORE).await;
                relay.reset();
                reads_to_the_fault(&mut reader, version, BEFORE as u64).await;
            };
            tokio::join!(read, writes_to_the_fault(&mut writer, version));
        });
    }
}

#[test]
fn keep_alive_notices_a_half_open_connection_at_both_ends() {
    let interval = Duration::from_millis(500);
    for version in VERSIONS {
        leaves_nothing(async {
            let config = Config::new().keep_alive(interval, 2 * interval);
            let (server, mut streams) = server(config).await;
            let relay = Relay::start(server.address).await;
            let mut client = open(relay.address, version, config).await;
            let mut accepted = timeout(BOUND, streams.recv()).await.unwrap().unwrap();
            client.write_all(&pattern(0, 1000)).await.unwrap();
            accepted.write_all(&pattern(0, 1000)).await.unwrap();
            read_some(&mut client, 0, 1000).await;
            read_some(&mut accepted, 0, 1000).await;
            // Idle for longer than the timeout, and alive: pings and pongs get through.
            let idle = async |stream: &mut Stream| {
                let read = timeout(4 * interval, stream.read_u8()).await;
                assert!(read.is_err(), "{read:?}");
            };
            tokio::join!(idle(&mut client), idle(&mut accepted));
            relay.swallow();
            let start = Instant::now();
            let notice = async |stream: &mut Stream| {
                let error = timeout(BOUND, stream.read_u8()).await.unwrap().unwrap_err();
                assert_eq!(error.kind(), ErrorKind::TimedOut, "{error}");
                let error = timeout(BOUND, stream.write(b"x")).await.unwrap().unwrap_err();
                assert_eq!(error.kind(), ErrorKind::BrokenPipe);
            };
            tokio::join!(notice(&mut client), notice(&mut accepted));
            assert!(start.elapsed() >= interval, "not before it is silent for the timeout");
            // What lingers of an HTTP/2 stream ends with the connection.
            relay.reset();
        });
    }
}

#[test]
fn a_proxy_is_restarted() {
    for version in VERSIONS {
        leaves_nothing(async {
            let server = Server::start(Acceptor::new(), |upgrade: Upgrade| async move {
                transfer(&mut upgrade.await.unwrap(), true).await;
            })
            .await;
            let relay = Relay::start(server.address).await;
            let address = relay.address;
            let mut old = open(address, version, Config::new()).await;
            read_some(&mut old, 0, BEFORE).await;
            relay.stop().await;
            reads_to_the_fault(&mut old, version, BEFORE as u64).await;
            let _relay = Relay::listen(address, server.address).await;
            let mut new = open(address, version, Config::new()).await;
            read_some(&mut new, 0, BEFORE).await;
        });
    }
}

fn is_long() -> bool {
    std::env::var_os("LONG").is_some()
}

#[test]
fn a_slow_reader_stops_the_writer_and_loses_nothing() {
    // More than all windows and socket buffers hold.
    const LEN: usize = 64 << 20;
    let slow = Duration::from_secs(if is_long() { 60 } else { 3 });
    for version in VERSIONS {
        leaves_nothing(async move {
            let written = Arc::new(AtomicU64::new(0));
            let counter = Arc::clone(&written);
            let server = Server::start(Acceptor::new(), move |upgrade: Upgrade| {
                let written = Arc::clone(&counter);
                async move {
                    let mut stream = upgrade.await.unwrap();
                    for place in (0..LEN as u64).step_by(1 << 16) {
                        stream.write_all(&pattern(place, 1 << 16)).await.unwrap();
                        written.fetch_add(1 << 16, Ordering::Relaxed);
                    }
                    stream.shutdown().await.unwrap();
                    assert_eq!(stream.read(&mut [0]).await.unwrap(), 0);
                }
            })
            .await;
            let mut stream = open(server.address, version, Config::new()).await;
            let (start, mut place) = (Instant::now(), 0);
            while start.elapsed() < slow {
                read_some(&mut stream, place, 1000).await;
                place += 1000;
                sleep(Duration::from_millis(100)).await;
            }
            let ahead = written.load(Ordering::Relaxed) - place;
            assert!(ahead < LEN as u64 / 2, "{version:?}: {ahead} bytes ahead of the reader");
            let (end, place) = read_on(&mut stream, place).await;
            end.unwrap();
            assert_eq!(place, LEN as u64);
            stream.close(1000, "").await.unwrap();
        });
    }
}

#[test]
fn a_slow_writer_of_one_byte_at_a_time() {
    let (bytes, pause) = if is_long() { (60, 1000) } else { (20, 100) };
    for version in VERSIONS {
        leaves_nothing(async move {
            let server = Server::start(Acceptor::new(), move |upgrade: Upgrade| async move {
                let mut stream = upgrade.await.unwrap();
                for byte in pattern(0, bytes) {
                    sleep(Duration::from_millis(pause)).await;
                    stream.write_u8(byte).await.unwrap();
                }
                stream.close(1000, "").await.unwrap();
            })
            .await;
            // Each byte comes in time, or keep-alive would say so: it is traffic.
            let config = Config::new().keep_alive(4 * Duration::from_millis(pause), BOUND);
            let mut stream = open(server.address, version, config).await;
            let start = Instant::now();
            let (end, place) = read_on(&mut stream, 0).await;
            end.unwrap();
            assert_eq!(place, bytes as u64);
            assert!(start.elapsed() >= Duration::from_millis(pause * (bytes as u64 - 2)));
            stream.close(1000, "").await.unwrap();
        });
    }
}
