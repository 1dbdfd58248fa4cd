//! What a stream costs.

mod common;
#[path = "common/heap.rs"]
#[allow(dead_code, reason = "others count several threads")]
mod heap;

use common::{
    ROLES, bytes,
    frames::{self, BINARY, PING},
    in_time,
};
use fastwebsockets_stream::{Config, PayloadType, WebSocketStream, fastwebsockets::Role};
use heap::{Heap, heap};
use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};
use tokio::io::{AsyncBufRead, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::UnixStream;
use tokio_test::{assert_pending, assert_ready_ok, task};

#[global_allocator]
static ALLOCATOR: heap::Counting = heap::Counting;

/// Gives frames over and over and takes everything, without the heap.
struct Source<'a> {
    frame: &'a [u8],
    at: usize,
    /// Whether there is something to read.
    ready: bool,
    vectored: bool,
}

impl AsyncRead for Source<'_> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.ready {
            return Poll::Pending;
        }
        let rest = &self.frame[self.at..];
        let len = rest.len().min(buf.remaining());
        buf.put_slice(&rest[..len]);
        self.at = (self.at + len) % self.frame.len();
        self.ready = self.at > 0;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Source<'_> {
    fn poll_write(
        self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(slices.iter().map(|slice| slice.len()).sum()))
    }

    fn is_write_vectored(&self) -> bool {
        self.vectored
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

fn poll_read<S: AsyncRead + AsyncWrite + Unpin>(
    task: &mut task::Spawn<()>,
    stream: &mut WebSocketStream<S>,
    memory: &mut [u8],
) -> Poll<io::Result<usize>> {
    let mut buf = ReadBuf::new(memory);
    let read = task.enter(|cx, _| Pin::new(stream).poll_read(cx, &mut buf));
    read.map_ok(|()| buf.filled().len())
}

#[test]
fn the_struct_is_small() {
    let size = size_of::<WebSocketStream<()>>();
    assert!(size <= 368, "{size} bytes");
}

#[test]
fn no_heap_before_first_use_nor_while_a_read_is_pending() {
    let mut task = task::spawn(());
    let mut memory = [0; 100];
    let mut tiny = [0; 1];
    for role in ROLES {
        for config in [PayloadType::Binary, PayloadType::Text].map(Config::from) {
            let io = Source { frame: &[], at: 0, ready: false, vectored: true };
            let (stream, at_rest) = heap(|| {
                let mut stream = WebSocketStream::after_handshake(io, role, config);
                assert_pending!(poll_read(&mut task, &mut stream, &mut memory));
                assert_pending!(poll_read(&mut task, &mut stream, &mut tiny));
                stream
            });
            assert_eq!(at_rest, Heap::default());
            drop(stream);
        }
    }
}

#[test]
fn a_timer_of_keep_alive_owns_400_bytes_at_most() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async {
        let mut task = task::spawn(());
        let io = Source { frame: &[], at: 0, ready: false, vectored: true };
        let minute = Duration::from_secs(60);
        let config = Config::from(PayloadType::Binary).keep_alive(minute, minute);
        let mut stream = WebSocketStream::after_handshake(io, Role::Client, config);
        let mut memory = [0; 100];
        // The runtime's own memory for its first timer.
        tokio::time::timeout(minute, std::future::ready(())).await.unwrap();
        tokio::spawn(tokio::time::sleep(Duration::ZERO)).await.unwrap();
        let ((), timer) = heap(|| {
            assert_pending!(poll_read(&mut task, &mut stream, &mut memory));
        });
        assert!(0 < timer.live && timer.peak <= 400, "{timer:?}");
    });
}

#[test]
fn a_thread_keeps_68_kibibytes_for_copies() {
    let ((), thread) = heap(copy_once);
    assert!(0 < thread.live && thread.live <= 68 * 1024 + 128, "{thread:?}");
}

/// Gives nothing, and takes everything once it is open.
struct Gate {
    open: bool,
}

impl AsyncRead for Gate {
    fn poll_read(
        self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
        _buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Poll::Pending
    }
}

impl AsyncWrite for Gate {
    fn poll_write(
        self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.open { Poll::Ready(Ok(bytes.len())) } else { Poll::Pending }
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[test]
fn what_waiting_needed_is_given_back_when_nobody_waits() {
    let (mut reader, mut writer) = (task::spawn(()), task::spawn(()));
    let mut memory = [0; 100];
    for role in ROLES {
        let io = Gate { open: false };
        let mut stream = WebSocketStream::after_handshake(io, role, PayloadType::Binary);
        let ((), heap) = heap(|| {
            assert_pending!(poll_read(&mut reader, &mut stream, &mut memory));
            assert_ready_ok!(writer.enter(|cx, _| Pin::new(&mut stream).poll_write(cx, b"waits")));
            assert_pending!(writer.enter(|cx, _| Pin::new(&mut stream).poll_flush(cx)));
            stream.get_mut().open = true;
            assert_ready_ok!(writer.enter(|cx, _| Pin::new(&mut stream).poll_flush(cx)));
        });
        assert!(heap.peak > 0, "a frame, and a waker for two tasks");
        assert_eq!(heap.live, 0);
    }
}

#[test]
fn no_heap_while_an_adopted_socket_is_idle() {
    use fastwebsockets_stream::fastwebsockets::WebSocket;
    for role in ROLES {
        let io = Source { frame: &[], at: 0, ready: false, vectored: true };
        let (stream, heap) = heap(|| {
            WebSocketStream::new(WebSocket::after_handshake(io, role), PayloadType::Binary)
        });
        assert_eq!(heap.live, 0);
        drop(stream);
    }
}

/// A thread gets memory for large copies with the first, and keeps it.
fn copy_once() {
    let io = Source { frame: &[], at: 0, ready: false, vectored: false };
    let mut stream = WebSocketStream::after_handshake(io, Role::Client, PayloadType::Binary);
    let mut task = task::spawn(());
    assert_ready_ok!(task.enter(|cx, _| Pin::new(&mut stream).poll_write(cx, &[1; 10_000])));
}

#[test]
fn no_allocation_per_message() {
    let mut task = task::spawn(());
    let mut memory = vec![0; 70_000];
    copy_once();
    for role in ROLES {
        for vectored in [true, false] {
            for payload_type in [PayloadType::Binary, PayloadType::Text] {
                for len in [1, 16, 100, 1_000, 16_384, 60_000] {
                    let payload = vec![b'a'; len];
                    let opcode =
                        if payload_type == PayloadType::Text { frames::TEXT } else { BINARY };
                    let frame = frames::to(role, opcode, &payload);
                    let io = Source { frame: &frame, at: 0, ready: false, vectored };
                    let mut stream = WebSocketStream::after_handshake(io, role, payload_type);
                    let ((), heap) = heap(|| {
                        for _ in 0..10 {
                            assert_pending!(poll_read(&mut task, &mut stream, &mut memory));
                            let n = assert_ready_ok!(
                                task.enter(|cx, _| Pin::new(&mut stream).poll_write(cx, &payload))
                            );
                            assert_eq!(n, len);
                            assert_ready_ok!(
                                task.enter(|cx, _| Pin::new(&mut stream).poll_flush(cx))
                            );
                            stream.get_mut().ready = true;
                            let mut read = 0;
                            while read < len {
                                read += assert_ready_ok!(poll_read(
                                    &mut task,
                                    &mut stream,
                                    &mut memory
                                ));
                            }
                        }
                    });
                    assert_eq!(heap, Heap::default(), "{len} bytes, vectored: {vectored}");
                }
            }
        }
    }
}

#[test]
fn no_allocation_for_messages_read_through_tiny_buffers() {
    let mut task = task::spawn(());
    let mut memory = [0; 3];
    for role in ROLES {
        let frame = frames::to(role, BINARY, &bytes(100));
        let io = Source { frame: &frame, at: 0, ready: true, vectored: true };
        let mut stream = WebSocketStream::after_handshake(io, role, PayloadType::Binary);
        let ((), heap) = heap(|| {
            for _ in 0..300 {
                stream.get_mut().ready = true;
                assert_ready_ok!(poll_read(&mut task, &mut stream, &mut memory));
            }
        });
        assert_eq!(heap, Heap::default());
    }
}

type Stream = WebSocketStream<UnixStream>;

async fn transfer(from: &mut Stream, to: &mut Stream, sent: &[u8], received: &mut [u8]) {
    let write = async {
        from.write_all(sent).await.unwrap();
        from.flush().await.unwrap();
    };
    let (_, read) = tokio::join!(write, to.read_exact(&mut received[..sent.len()]));
    read.unwrap();
}

#[tokio::test(flavor = "current_thread")]
async fn no_heap_after_a_transfer_of_one_mebibyte() {
    for role in ROLES {
        for half_duplex in [false, true] {
            let (a, b) = UnixStream::pair().unwrap();
            let other = if role == Role::Client { Role::Server } else { Role::Client };
            let mut ours = WebSocketStream::after_handshake(a, role, PayloadType::Binary);
            let mut theirs = WebSocketStream::after_handshake(b, other, PayloadType::Binary);
            let sent = bytes(1 << 20);
            let mut received = vec![0; 1 << 20];
            // What the runtime needs is there from here on.
            in_time(async {
                transfer(&mut theirs, &mut ours, &sent[..20_000], &mut received).await;
                transfer(&mut ours, &mut theirs, &sent[..20_000], &mut received).await;
            })
            .await;
            let mut task = task::spawn(());
            let before = heap::here().live;
            in_time(async {
                transfer(&mut ours, &mut theirs, &sent, &mut received).await;
                if !half_duplex {
                    transfer(&mut theirs, &mut ours, &sent, &mut received).await;
                }
            })
            .await;
            assert_pending!(poll_read(&mut task, &mut ours, &mut [0; 100]));
            assert_pending!(poll_read(&mut task, &mut theirs, &mut [0; 100]));
            assert_eq!(heap::here().live - before, 0);
        }
    }
}

#[test]
fn buffered_reading_owns_memory_only_while_there_is_something_to_read() {
    let payload = [&b"line\n".repeat(100)[..], b"rest"].concat();
    for role in ROLES {
        let frame = frames::to(role, BINARY, &payload);
        let io = Source { frame: &frame, at: 0, ready: true, vectored: true };
        let mut stream = WebSocketStream::after_handshake(io, role, PayloadType::Binary);
        let mut task = task::spawn(());
        let before = heap::here();
        let mut consume = |stream: &mut WebSocketStream<_>, expected: &[u8]| {
            task.enter(|cx, _| {
                let buffered = assert_ready_ok!(Pin::new(&mut *stream).poll_fill_buf(cx));
                assert!(buffered.starts_with(expected));
            });
            Pin::new(stream).consume(expected.len());
        };
        for _ in 0..100 {
            consume(&mut stream, b"line\n");
        }
        let unread = heap::here();
        assert_eq!(unread.live - before.live, 8 * 1024);
        assert_eq!(unread.allocations - before.allocations, 1);
        consume(&mut stream, b"rest");
        task.enter(|cx, _| assert!(Pin::new(&mut stream).poll_fill_buf(cx).is_pending()));
        assert_eq!(heap::here().live, before.live);

        // Nor is it kept by someone who reads into memory of their own from then on.
        stream.get_mut().ready = true;
        task.enter(|cx, _| assert!(Pin::new(&mut stream).poll_fill_buf(cx).is_ready()));
        Pin::new(&mut stream).consume(payload.len());
        assert_pending!(poll_read(&mut task, &mut stream, &mut [0; 9]));
        assert_eq!(heap::here().live, before.live);
    }
}

#[test]
fn a_frame_of_256_mebibytes_is_read_within_64_kibibytes_of_heap() {
    const LEN: u64 = 256 << 20;
    let mut task = task::spawn(());
    for role in ROLES {
        let block = vec![7; 1 << 20];
        let mut memory = vec![0; 64 * 1024];
        let head = frames::head_to(role, BINARY, LEN);
        let ((), heap) = heap(|| {
            let io = Source { frame: &head, at: 0, ready: true, vectored: true };
            let mut stream = WebSocketStream::after_handshake(io, role, PayloadType::Binary);
            assert_pending!(poll_read(&mut task, &mut stream, &mut memory));
            stream.get_mut().frame = &block;
            let mut read = 0;
            while read < LEN {
                stream.get_mut().ready = true;
                read += assert_ready_ok!(poll_read(&mut task, &mut stream, &mut memory)) as u64;
            }
            assert_eq!(read, LEN);
        });
        assert!(heap.peak <= 64 * 1024, "{heap:?}");
    }
}

#[test]
fn a_head_that_claims_any_length_allocates_nothing() {
    let mut task = task::spawn(());
    for role in ROLES {
        for claimed in [60 << 20, 1 << 40, (1 << 63) - 1] {
            let head = frames::head_to(role, BINARY, claimed);
            let io = Source { frame: &head, at: 0, ready: true, vectored: true };
            let mut stream = WebSocketStream::after_handshake(io, role, PayloadType::Binary);
            let ((), heap) = heap(|| {
                let mut memory = [0; 100];
                assert_pending!(poll_read(&mut task, &mut stream, &mut memory));
            });
            assert_eq!(heap, Heap::default());
        }
    }
}

#[test]
fn a_flood_of_pings_from_a_peer_that_does_not_read_stays_within_128_kibibytes() {
    copy_once();
    struct Deaf<'a>(Source<'a>);

    impl AsyncRead for Deaf<'_> {
        fn poll_read(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            buf: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            self.0.ready = true;
            Pin::new(&mut self.0).poll_read(cx, buf)
        }
    }

    impl AsyncWrite for Deaf<'_> {
        fn poll_write(
            self: Pin<&mut Self>,
            _cx: &mut Context<'_>,
            _buf: &[u8],
        ) -> Poll<io::Result<usize>> {
            Poll::Pending
        }

        fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Pending
        }

        fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Pending
        }
    }

    let mut task = task::spawn(());
    let mut memory = vec![0; 64 * 1024];
    for role in ROLES {
        let pings = frames::to(role, PING, &[1; 125]).repeat(1000);
        let io = Deaf(Source { frame: &pings, at: 0, ready: true, vectored: true });
        let mut stream = WebSocketStream::after_handshake(io, role, PayloadType::Binary);
        let ((), heap) = heap(|| {
            for _ in 0..100 {
                assert_pending!(poll_read(&mut task, &mut stream, &mut memory));
            }
        });
        assert!(heap.peak <= 128 * 1024, "{heap:?}");
    }
}

/// What a stream owns at most: one frame, or what gathers while the transport is busy.
const MOST: isize = 64 * 1024;

/// By which a writer learns that something has come.
const BELL: isize = 40;

#[test]
fn what_gathers_while_the_transport_is_busy_owns_64_kibibytes_at_most() {
    for role in ROLES {
        for vectored in [true, false] {
            for size in [1, 20, 100, 1_000, 3_000, 5_000, 10_000, 30_000, 40_000, 65_000] {
                let io = Stuck { takes: 1, vectored };
                let mut stream = WebSocketStream::after_handshake(io, role, PayloadType::Binary);
                copy_once();
                let payload = bytes(size);
                let mut writer = task::spawn(());
                let (accepted, heap) = heap(|| {
                    let mut accepted = 0;
                    while writer
                        .enter(|cx, _| Pin::new(&mut stream).poll_write(cx, &payload))
                        .is_ready()
                    {
                        accepted += size;
                    }
                    accepted
                });
                assert!(accepted >= size);
                assert!(heap.peak <= MOST + BELL, "{size}: {heap:?}");
            }
        }
    }
}

#[test]
fn what_comes_behind_a_frame_that_waits_takes_no_more_memory_than_the_frame() {
    const FRAME: usize = 512 * 1024;
    for role in ROLES {
        for taken in [10, FRAME / 2, FRAME - 100] {
            let frame = [
                frames::to(role, PING, &[1; 125]),
                frames::to(role, PING, &[2; 125]),
                frames::close_to(role, 1000, &"r".repeat(100)),
            ]
            .concat();
            let io = (
                Source { frame: &frame, at: 0, ready: true, vectored: true },
                Stuck { takes: taken, vectored: true },
            );
            let mut stream =
                WebSocketStream::after_handshake(Halves(io.0, io.1), role, PayloadType::Binary);
            copy_once();
            let payload = bytes(FRAME);
            let mut memory = [0; 1000];
            let (mut reader, mut writer) = (task::spawn(()), task::spawn(()));
            let ((), heap) = heap(|| {
                let n = writer.enter(|cx, _| Pin::new(&mut stream).poll_write(cx, &payload));
                assert_eq!(assert_ready_ok!(n), FRAME);
                // Two pings and a Close, which is answered.
                let end = poll_read(&mut reader, &mut stream, &mut memory);
                assert_eq!(assert_ready_ok!(end), 0);
                let flush = writer.enter(|cx, _| Pin::new(&mut stream).poll_flush(cx));
                assert_pending!(flush);
            });
            let kept = (FRAME + 20 - taken) as isize;
            // Two control frames wait beside it, and a waker for two tasks.
            assert!(heap.peak <= kept.max(MOST) + 1024, "{taken}: {heap:?}");
            assert!(stream.is_closed());
        }
    }
}

/// Takes so many bytes, and then nothing more.
struct Stuck {
    takes: usize,
    vectored: bool,
}

impl AsyncRead for Stuck {
    fn poll_read(
        self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
        _buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Poll::Pending
    }
}

impl AsyncWrite for Stuck {
    fn poll_write(
        mut self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let taken = buf.len().min(self.takes);
        self.takes -= taken;
        if taken == 0 { Poll::Pending } else { Poll::Ready(Ok(taken)) }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let taken = slices.iter().map(|slice| slice.len()).sum::<usize>().min(self.takes);
        self.takes -= taken;
        if taken == 0 { Poll::Pending } else { Poll::Ready(Ok(taken)) }
    }

    fn is_write_vectored(&self) -> bool {
        self.vectored
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// One transport to read from and another to write to.
struct Halves<R, W>(R, W);

impl<R: AsyncRead + Unpin, W: Unpin> AsyncRead for Halves<R, W> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl<R: Unpin, W: AsyncWrite + Unpin> AsyncWrite for Halves<R, W> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.1).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.1).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.1.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.1).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.1).poll_shutdown(cx)
    }
}

/// A transport that takes all of each write, but only in every other poll.
struct ALittleBehind {
    ready: bool,
}

impl AsyncRead for ALittleBehind {
    fn poll_read(
        self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
        _buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Poll::Pending
    }
}

impl AsyncWrite for ALittleBehind {
    fn poll_write(
        mut self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.ready = !self.ready;
        // Never all of it, so that something always waits.
        if self.ready { Poll::Ready(Ok((buf.len() - 1).max(1))) } else { Poll::Pending }
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[test]
fn a_transport_that_is_always_a_little_behind_costs_no_more_memory_with_time() {
    for role in ROLES {
        let io = ALittleBehind { ready: false };
        let mut stream = WebSocketStream::after_handshake(io, role, PayloadType::Binary);
        let payload = bytes(10_000);
        copy_once();
        let mut writer = task::spawn(());
        let (accepted, heap) = heap(|| {
            let mut accepted = 0;
            while accepted < 100 << 20 {
                let written = writer.enter(|cx, _| Pin::new(&mut stream).poll_write(cx, &payload));
                if written.is_ready() {
                    accepted += payload.len();
                }
            }
            accepted
        });
        assert!(accepted >= 100 << 20);
        assert!(heap.peak <= MOST, "{heap:?}");
    }
}

/// A stream in a stream in a stream, both ends of it on a thread with this much stack.
#[test]
fn three_streams_in_each_other_work_on_a_thread_with_128_kibibytes_of_stack() {
    let thread = std::thread::Builder::new().stack_size(128 * 1024);
    let done = thread.spawn(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let (a, b) = tokio::io::duplex(10_000);
            let nest = |io, role| {
                let inner = WebSocketStream::after_handshake(io, role, PayloadType::Binary);
                let middle = WebSocketStream::after_handshake(inner, role, PayloadType::Binary);
                WebSocketStream::after_handshake(middle, role, PayloadType::Binary)
            };
            let (mut client, mut server) =
                (Box::new(nest(a, Role::Client)), Box::new(nest(b, Role::Server)));
            let sent = bytes(1 << 20);
            let mut received = vec![0; 1 << 20];
            for _ in 0..2 {
                let write = async {
                    client.write_all(&sent).await.unwrap();
                    client.flush().await.unwrap();
                };
                let (read, ()) = tokio::join!(server.read_exact(&mut received), write);
                read.unwrap();
                assert!(received == sent);
                let write = async {
                    server.write_all(&sent).await.unwrap();
                    server.flush().await.unwrap();
                };
                let (read, ()) = tokio::join!(client.read_exact(&mut received), write);
                read.unwrap();
                assert!(received == sent);
            }
            let (a, b) = tokio::join!(client.close(1000, ""), server.close(1000, ""));
            a.unwrap();
            b.unwrap();
        });
    });
    done.unwrap().join().unwrap();
}
