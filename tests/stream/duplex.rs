//! The two directions are independent.

use crate::{
    common::{
        self, ROLES, bytes,
        frames::{self, BINARY, CLOSE, PING, PONG},
        stream,
        transports::OneByteAtATime,
    },
    over::{Over, OverPeer, Stream, in_time, joined_over, settle, stream_over},
    over_all,
};
use fastwebsockets_stream::{Config, PayloadType, WebSocketStream, fastwebsockets::Role};
use std::{
    future::poll_fn,
    io,
    pin::Pin,
    task::{Context, Poll},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf, duplex},
    net::{TcpListener, TcpStream},
};
use tokio_test::{assert_pending, assert_ready, assert_ready_ok, task};

fn poll_read<S: AsyncRead + Unpin>(
    cx: &mut Context<'_>,
    stream: &mut S,
) -> Poll<io::Result<Vec<u8>>> {
    let mut memory = [0; 4096];
    let mut buf = ReadBuf::new(&mut memory);
    Pin::new(stream).poll_read(cx, &mut buf).map_ok(|()| buf.filled().to_vec())
}

fn poll_write<S: AsyncWrite + Unpin>(
    cx: &mut Context<'_>,
    stream: &mut S,
    bytes: &[u8],
) -> Poll<io::Result<usize>> {
    Pin::new(stream).poll_write(cx, bytes)
}

over_all!(write_flush_and_shutdown_complete_while_a_read_is_pending);
async fn write_flush_and_shutdown_complete_while_a_read_is_pending(over: Over) {
    for role in ROLES {
        let (mut stream, peer) = stream_over(over, role, PayloadType::Binary);
        let mut task = task::spawn(());
        assert_pending!(settle(&mut task, |cx| poll_read(cx, &mut stream)));

        let mut writer = task::spawn(());
        let n = assert_ready_ok!(settle(&mut writer, |cx| poll_write(cx, &mut stream, b"hello")));
        assert_eq!(n, 5);
        assert_ready_ok!(settle(&mut writer, |cx| Pin::new(&mut stream).poll_flush(cx)));
        assert_ready_ok!(settle(&mut writer, |cx| Pin::new(&mut stream).poll_shutdown(cx)));
        let frames = peer.frames();
        assert_eq!(frames[0].payload, b"hello");
        assert_eq!((frames[1].opcode, frames.len()), (CLOSE, 2));
    }
}

over_all!(a_read_completes_while_a_write_is_pending);
async fn a_read_completes_while_a_write_is_pending(over: Over) {
    for role in ROLES {
        let (mut stream, peer) = stream_over(over, role, PayloadType::Binary);
        peer.take_only(0);
        let mut writer = task::spawn(());
        while settle(&mut writer, |cx| poll_write(cx, &mut stream, &[7; 9_000])).is_ready() {}

        peer.send(&frames::to(role, BINARY, b"hello"));
        let mut read = [0; 5];
        in_time(stream.read_exact(&mut read)).await.unwrap();
        assert_eq!(&read, b"hello");
        assert_pending!(settle(&mut writer, |cx| poll_write(cx, &mut stream, &[7; 9_000])));
    }
}

over_all!(split_works_across_two_tasks);
async fn split_works_across_two_tasks(over: Over) {
    let (client, server) = joined_over(over, 1000, Config::new().half_close(true));
    let (mut server_reads, mut server_writes) = tokio::io::split(server);
    let echo = tokio::spawn(async move {
        tokio::io::copy(&mut server_reads, &mut server_writes).await.unwrap();
        server_writes.shutdown().await.unwrap();
    });
    let (mut client_reads, mut client_writes) = tokio::io::split(client);
    let sent = bytes(300_000);
    let expected = sent.clone();
    let writes = tokio::spawn(async move {
        client_writes.write_all(&sent).await.unwrap();
        client_writes.shutdown().await.unwrap();
        client_writes
    });
    in_time(async {
        let mut received = Vec::new();
        client_reads.read_to_end(&mut received).await.unwrap();
        assert!(received == expected);
        writes.await.unwrap();
        echo.await.unwrap();
    })
    .await;
}

over_all!(copy_bidirectional_carries_both_directions_and_ends);
async fn copy_bidirectional_carries_both_directions_and_ends(over: Over) {
    let (application, inner) = duplex(64);
    let (client, mut server) = joined_over(over, 100, Config::new().half_close(true));
    let relay = tokio::spawn(async move {
        let (mut inner, mut client) = (inner, client);
        tokio::io::copy_bidirectional(&mut inner, &mut client).await
    });
    let (mut reads, mut writes) = tokio::io::split(application);
    in_time(async {
        let request = bytes(10_000);
        let write = async {
            writes.write_all(&request).await.unwrap();
            writes.shutdown().await.unwrap();
        };
        let serve = async {
            let mut received = Vec::new();
            server.read_to_end(&mut received).await.unwrap();
            assert!(received == request);
            server.write_all(b"response").await.unwrap();
            server.shutdown().await.unwrap();
        };
        let read = async {
            let mut response = Vec::new();
            reads.read_to_end(&mut response).await.unwrap();
            assert_eq!(response, b"response");
        };
        tokio::join!(write, serve, read);
        assert_eq!(relay.await.unwrap().unwrap(), (10_000, 8));
    })
    .await;
}

over_all!(much_both_ways_at_once_through_a_transport_that_holds_one_kibibyte);
async fn much_both_ways_at_once_through_a_transport_that_holds_one_kibibyte(over: Over) {
    for payload_type in [PayloadType::Binary, PayloadType::Text] {
        let (client, server) = joined_over(over, 1024, payload_type);
        // The others take a multiple of the time for each byte.
        let len = match over {
            Over::Pipe => 8 << 20,
            Over::OneByte => 1 << 17,
            _ => 1 << 20,
        };
        let sent: Vec<u8> = bytes(len).into_iter().map(|byte| byte & 0x7f).collect();
        let exchange = |stream: Stream| {
            let sent = sent.clone();
            tokio::spawn(async move {
                let (mut reads, mut writes) = tokio::io::split(stream);
                let write = async {
                    writes.write_all(&sent).await.unwrap();
                    writes.shutdown().await.unwrap();
                };
                let mut received = Vec::new();
                let (_, read) = tokio::join!(write, reads.read_to_end(&mut received));
                read.unwrap();
                assert!(received == sent);
            })
        };
        let (a, b) = (exchange(client), exchange(server));
        in_time(async {
            a.await.unwrap();
            b.await.unwrap();
        })
        .await;
    }
}

over_all!(two_sides_that_both_write_first_do_not_deadlock_as_long_as_both_read);
async fn two_sides_that_both_write_first_do_not_deadlock_as_long_as_both_read(over: Over) {
    let (mut client, mut server) = joined_over(over, 512, PayloadType::Binary);
    let sent = bytes(100_000);
    // One task each, which writes whenever it can and reads only when it can't.
    async fn write_then_read<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S, sent: &[u8]) {
        let (mut written, mut received) = (0, Vec::new());
        poll_fn(|cx| {
            loop {
                let mut progress = false;
                if written < sent.len() {
                    if let Poll::Ready(n) = poll_write(cx, stream, &sent[written..]) {
                        written += n.unwrap();
                        progress = true;
                    }
                } else {
                    let _flushed = Pin::new(&mut *stream).poll_flush(cx);
                }
                if let Poll::Ready(read) = poll_read(cx, stream) {
                    received.extend(read.unwrap());
                    progress = true;
                }
                if written == sent.len() && received.len() == sent.len() {
                    return Pin::new(&mut *stream).poll_flush(cx);
                }
                if !progress {
                    return Poll::Pending;
                }
            }
        })
        .await
        .unwrap();
        assert!(received == sent);
    }
    in_time(async {
        tokio::join!(write_then_read(&mut client, &sent), write_then_read(&mut server, &sent));
    })
    .await;
}

/// A writer that was accepted, with bytes left that the busy transport did not take.
fn left_behind_over(over: Over, role: Role) -> (Stream, OverPeer) {
    let (mut stream, peer) = stream_over(over, role, PayloadType::Binary);
    peer.take_only(3);
    let mut writer = task::spawn(());
    let n = assert_ready_ok!(settle(&mut writer, |cx| poll_write(cx, &mut stream, b"request")));
    assert_eq!(n, 7);
    (stream, peer)
}

/// The same on a wire.
fn left_behind(
    role: Role,
) -> (WebSocketStream<common::transports::Wire>, common::transports::Peer) {
    let (mut stream, peer) = stream(role, PayloadType::Binary);
    peer.take_only(3);
    let mut writer = task::spawn(());
    let n = assert_ready_ok!(writer.enter(|cx, _| poll_write(cx, &mut stream, b"request")));
    assert_eq!(n, 7);
    (stream, peer)
}

over_all!(a_pending_reader_sends_on_what_a_writer_that_went_away_left);
async fn a_pending_reader_sends_on_what_a_writer_that_went_away_left(over: Over) {
    // hyper needs nobody.
    if over == Over::Http2 {
        return;
    }
    for role in ROLES {
        // The reader waited before the write, or comes after it.
        for reads_first in [true, false] {
            let (mut stream, peer) = stream_over(over, role, PayloadType::Binary);
            let mut reader = task::spawn(());
            if reads_first {
                assert_pending!(settle(&mut reader, |cx| poll_read(cx, &mut stream)));
            }
            peer.take_only(3);
            {
                let mut writer = task::spawn(());
                assert_ready_ok!(settle(&mut writer, |cx| poll_write(cx, &mut stream, b"request")));
            }
            if !reads_first {
                assert_pending!(settle(&mut reader, |cx| poll_read(cx, &mut stream)));
            }
            if reads_first && reader.is_woken() {
                // It may have something to flush.
                assert_pending!(settle(&mut reader, |cx| poll_read(cx, &mut stream)));
            }
            assert!(!reader.is_woken());
            peer.take_all();
            assert!(reader.is_woken(), "reads first: {reads_first}");
            assert_pending!(settle(&mut reader, |cx| poll_read(cx, &mut stream)));
            assert_eq!(frames::payload(&peer.frames()), b"request");
        }
    }
}

over_all!(a_pending_writer_is_woken_whatever_the_reader_did_last);
async fn a_pending_writer_is_woken_whatever_the_reader_did_last(over: Over) {
    for role in ROLES {
        let (mut stream, peer) = left_behind_over(over, role);
        let mut writer = task::spawn(());
        while settle(&mut writer, |cx| poll_write(cx, &mut stream, &[1; 30_000])).is_ready() {}
        {
            // It polls, and with it the transport's write direction, and is gone.
            let mut reader = task::spawn(());
            assert_pending!(settle(&mut reader, |cx| poll_read(cx, &mut stream)));
        }
        // One that puts polls off wakes for it.
        assert!(over == Over::Hostile || !writer.is_woken());
        peer.take_all();
        assert!(writer.is_woken());
        assert_ready!(settle(&mut writer, |cx| poll_write(cx, &mut stream, b"x"))).unwrap();
    }
}

#[test]
fn a_pending_writer_is_woken_when_the_reader_makes_room_in_its_place() {
    for role in ROLES {
        let (mut stream, peer) = left_behind(role);
        let mut writer = task::spawn(());
        while writer.enter(|cx, _| poll_write(cx, &mut stream, &[1; 30_000])).is_ready() {}
        // The transport has room without telling: only polling it shows.
        peer.take_only(usize::MAX);
        let mut reader = task::spawn(());
        assert_pending!(reader.enter(|cx, _| poll_read(cx, &mut stream)));
        assert!(writer.is_woken());
    }
}

#[test]
fn a_pending_flush_is_woken_when_the_reader_sends_the_rest() {
    for role in ROLES {
        let (mut stream, peer) = left_behind(role);
        let mut writer = task::spawn(());
        assert_pending!(writer.enter(|cx, _| Pin::new(&mut stream).poll_flush(cx)));
        peer.take_only(usize::MAX);
        let mut reader = task::spawn(());
        assert_pending!(reader.enter(|cx, _| poll_read(cx, &mut stream)));
        assert!(writer.is_woken());
        assert_ready_ok!(writer.enter(|cx, _| Pin::new(&mut stream).poll_flush(cx)));
    }
}

over_all!(a_reader_that_moved_to_another_task_is_woken_there);
async fn a_reader_that_moved_to_another_task_is_woken_there(over: Over) {
    for role in ROLES {
        let (mut stream, peer) = left_behind_over(over, role);
        let mut before = task::spawn(());
        assert_pending!(settle(&mut before, |cx| poll_read(cx, &mut stream)));
        let mut after = task::spawn(());
        assert_pending!(settle(&mut after, |cx| poll_read(cx, &mut stream)));
        peer.send(&frames::to(role, BINARY, b"x"));
        assert!(after.is_woken());
        assert_ready_ok!(settle(&mut after, |cx| poll_read(cx, &mut stream)));
    }
}

over_all!(a_writer_that_moved_to_another_task_is_woken_there);
async fn a_writer_that_moved_to_another_task_is_woken_there(over: Over) {
    // hyper sees to the rest: no flush waits for the line.
    if over == Over::Http2 {
        return;
    }
    for role in ROLES {
        let (mut stream, peer) = left_behind_over(over, role);
        let mut reader = task::spawn(());
        assert_pending!(settle(&mut reader, |cx| poll_read(cx, &mut stream)));
        let mut before = task::spawn(());
        assert_pending!(settle(&mut before, |cx| Pin::new(&mut stream).poll_flush(cx)));
        let mut after = task::spawn(());
        assert_pending!(settle(&mut after, |cx| Pin::new(&mut stream).poll_flush(cx)));
        peer.take_all();
        assert!(after.is_woken());
        assert!(reader.is_woken());
        assert_ready_ok!(settle(&mut after, |cx| Pin::new(&mut stream).poll_flush(cx)));
    }
}

over_all!(a_pending_writer_is_woken_when_the_reader_comes_to_the_end);
async fn a_pending_writer_is_woken_when_the_reader_comes_to_the_end(over: Over) {
    for role in ROLES {
        for end in ["transport", "violation", "Close"] {
            for operation in ["write", "flush", "shutdown"] {
                // hyper sees to the rest: only writes wait for the line.
                if over == Over::Http2 && operation != "write" {
                    continue;
                }
                let (mut stream, peer) = left_behind_over(over, role);
                let (mut reader, mut writer) = (task::spawn(()), task::spawn(()));
                assert_pending!(settle(&mut writer, |cx| match operation {
                    "write" => {
                        while poll_write(cx, &mut stream, &[1; 30_000]).is_ready() {}
                        Poll::Pending
                    }
                    "flush" => Pin::new(&mut stream).poll_flush(cx),
                    _ => Pin::new(&mut stream).poll_shutdown(cx),
                }));
                match end {
                    "transport" => peer.end(),
                    "violation" => peer.send(&[0xff; 4]),
                    _ => peer.send(&frames::close_to(role, 1000, "")),
                }
                assert_ready!(settle(&mut reader, |cx| poll_read(cx, &mut stream))).ok();
                assert!(writer.is_woken(), "{operation}, {end}");
                if operation == "write" {
                    let written = settle(&mut writer, |cx| poll_write(cx, &mut stream, b"x"));
                    assert_eq!(
                        assert_ready!(written).unwrap_err().kind(),
                        io::ErrorKind::BrokenPipe
                    );
                }
            }
        }
    }
}

#[test]
fn nobody_spins() {
    for role in ROLES {
        let (mut stream, peer) = left_behind(role);
        let (mut reader, mut writer) = (task::spawn(()), task::spawn(()));
        assert_pending!(reader.enter(|cx, _| poll_read(cx, &mut stream)));
        assert_pending!(writer.enter(|cx, _| Pin::new(&mut stream).poll_flush(cx)));
        assert_pending!(reader.enter(|cx, _| poll_read(cx, &mut stream)));
        assert!(!reader.is_woken() && !writer.is_woken(), "one does not wake the other");

        // A ping that can't be answered yet wakes nobody either.
        peer.send(&frames::to(role, PING, b"?"));
        assert!(reader.is_woken());
        assert_pending!(reader.enter(|cx, _| poll_read(cx, &mut stream)));
        assert_pending!(writer.enter(|cx, _| Pin::new(&mut stream).poll_flush(cx)));
        assert!(!reader.is_woken() && !writer.is_woken());

        peer.take_all();
        assert!(reader.is_woken() && writer.is_woken());
        assert_pending!(reader.enter(|cx, _| poll_read(cx, &mut stream)));
        assert_ready_ok!(writer.enter(|cx, _| Pin::new(&mut stream).poll_flush(cx)));
        assert!(!reader.is_woken() && !writer.is_woken());
        let frames = peer.frames();
        assert_eq!((frames[0].opcode, frames[1].opcode), (BINARY, PONG));
    }
}

over_all!(a_request_without_flush_goes_out_while_its_response_is_awaited);
async fn a_request_without_flush_goes_out_while_its_response_is_awaited(over: Over) {
    // h2 doesn't read while it can't write: its settings have to fit into the line.
    let holds = if over == Over::Http2 { 100 } else { 16 };
    let (mut client, mut server) = joined_over(over, holds, PayloadType::Binary);
    let serve = async {
        let mut request = [0; 1000];
        server.read_exact(&mut request).await.unwrap();
        server.write_all(b"done").await.unwrap();
        server.flush().await.unwrap();
    };
    let call = async {
        client.write_all(&[1; 1000]).await.unwrap();
        let mut response = [0; 4];
        client.read_exact(&mut response).await.unwrap();
    };
    in_time(async { tokio::join!(serve, call) }).await;
}

#[tokio::test]
async fn one_byte_at_a_time_both_ways() {
    let (a, b) = duplex(64);
    let mut client =
        WebSocketStream::after_handshake(OneByteAtATime(a), Role::Client, PayloadType::Binary);
    let mut server =
        WebSocketStream::after_handshake(OneByteAtATime(b), Role::Server, PayloadType::Binary);
    let sent = bytes(5_000);
    in_time(async {
        let echo = async {
            let mut received = vec![0; sent.len()];
            server.read_exact(&mut received).await.unwrap();
            server.write_all(&received).await.unwrap();
            server.shutdown().await.unwrap();
        };
        let call = async {
            client.write_all(&sent).await.unwrap();
            let mut received = Vec::new();
            client.read_to_end(&mut received).await.unwrap();
            assert!(received == sent);
        };
        tokio::join!(echo, call);
    })
    .await;
}

#[tokio::test]
async fn half_close_survives_two_tunnels_between_tcp_sockets() {
    async fn tcp_pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let connect = TcpStream::connect(listener.local_addr().unwrap());
        let (accepted, connected) = tokio::join!(listener.accept(), connect);
        (accepted.unwrap().0, connected.unwrap())
    }
    async fn relay(mut tcp: TcpStream, transport: TcpStream, role: Role) {
        let mut tunnel =
            WebSocketStream::after_handshake(transport, role, Config::new().half_close(true));
        tokio::io::copy_bidirectional(&mut tcp, &mut tunnel).await.unwrap();
    }

    let (mut caller, near) = tcp_pair().await;
    let (near_end, far_end) = tcp_pair().await;
    let (far, mut server) = tcp_pair().await;
    let relays = [
        tokio::spawn(relay(near, near_end, Role::Client)),
        tokio::spawn(relay(far, far_end, Role::Server)),
    ];
    in_time(async {
        let request = bytes(3 << 20);
        let serve = async {
            // Nothing is answered before the request's end has come through.
            let mut received = Vec::new();
            server.read_to_end(&mut received).await.unwrap();
            server.write_all(&received).await.unwrap();
            server.shutdown().await.unwrap();
        };
        let call = async {
            caller.write_all(&request).await.unwrap();
            caller.shutdown().await.unwrap();
            let mut response = Vec::new();
            caller.read_to_end(&mut response).await.unwrap();
            assert!(response == request);
        };
        tokio::join!(serve, call);
        for relay in relays {
            relay.await.unwrap();
        }
    })
    .await;
}
