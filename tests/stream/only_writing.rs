//! A stream that is written to and not read answers pings, and learns of a Close.

use crate::common::{
    self, ROLES, cause,
    frames::{self, BINARY, CLOSE, PING, PONG},
    in_time, stream,
    transports::{Peer, Wire},
};
use fastwebsockets_stream::{Config, Error, PayloadType, WebSocketStream, fastwebsockets::Role};
use std::{
    collections::VecDeque,
    io::ErrorKind,
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf},
    time::{Instant, advance},
};
use tokio_test::{assert_pending, assert_ready, assert_ready_ok, task};

type Stream = WebSocketStream<Wire>;

/// What a writer may do time and again.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Habit {
    Writes,
    WritesAndFlushes,
}

const HABITS: [Habit; 2] = [Habit::Writes, Habit::WritesAndFlushes];

impl Habit {
    async fn once(self, stream: &mut Stream) -> std::io::Result<()> {
        stream.write_all(b"line\n").await?;
        match self {
            Habit::Writes => Ok(()),
            Habit::WritesAndFlushes => stream.flush().await,
        }
    }

    /// How long it takes the writer to notice something, doing this every `pause`.
    async fn until(
        self,
        stream: &mut Stream,
        pause: Duration,
        mut noticed: impl FnMut(&std::io::Result<()>) -> bool,
    ) -> Duration {
        let start = Instant::now();
        loop {
            let result = in_time(self.once(stream)).await;
            if noticed(&result) {
                return start.elapsed();
            }
            result.unwrap();
            assert!(start.elapsed() < Duration::from_secs(60), "{self:?} every {pause:?}");
            advance(pause).await;
        }
    }
}

/// Slow and fast ones, and the most that each may take to notice.
const PAUSES: [(Duration, Duration); 4] = [
    (Duration::from_secs(1), Duration::from_secs(2)),
    (Duration::from_millis(100), Duration::from_secs(1)),
    (Duration::from_millis(3), Duration::from_secs(1)),
    (Duration::from_micros(10), Duration::from_secs(1)),
];

/// A writer that has been at it for a while.
async fn at_it(role: Role, habit: Habit, pause: Duration) -> (Stream, Peer) {
    let (mut stream, peer) = stream(role, PayloadType::Binary);
    for _ in 0..300 {
        habit.once(&mut stream).await.unwrap();
        advance(pause).await;
    }
    peer.received();
    (stream, peer)
}

#[tokio::test(start_paused = true)]
async fn a_ping_is_answered() {
    for role in ROLES {
        for habit in HABITS {
            for (pause, at_most) in PAUSES {
                let (mut stream, peer) = at_it(role, habit, pause).await;
                peer.send(&frames::to(role, PING, b"there?"));
                let answered = |_: &_| peer.frames().iter().any(|frame| frame.opcode == PONG);
                let time = habit.until(&mut stream, pause, answered).await;
                assert!(time <= at_most, "{habit:?} every {pause:?}: {time:?}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_peers_close_is_noticed_and_answered() {
    for role in ROLES {
        for habit in HABITS {
            for (pause, at_most) in PAUSES {
                let (mut stream, peer) = at_it(role, habit, pause).await;
                peer.send(&frames::close_to(role, 1000, ""));
                let mut error = None;
                let time = habit
                    .until(&mut stream, pause, |result| {
                        error = result.as_ref().err().map(|error| error.kind());
                        error.is_some()
                    })
                    .await;
                assert_eq!(error, Some(ErrorKind::BrokenPipe));
                assert!(time <= at_most, "{habit:?} every {pause:?}: {time:?}");
                in_time(stream.flush()).await.unwrap();
                assert_eq!(peer.frames().last().unwrap().opcode, CLOSE);
                assert_eq!(stream.close_frame().unwrap().code(), Some(1000.into()));
            }
        }
    }
}

/// Also one that has been fast, as soon as it has been at it for a while.
#[tokio::test(start_paused = true)]
async fn a_writer_that_is_never_read_notices_with_its_next_write() {
    for role in ROLES {
        for habit in HABITS {
            let (mut stream, peer) = at_it(role, habit, Duration::from_millis(1)).await;
            peer.send(&frames::to(role, PING, b"there?"));
            habit.once(&mut stream).await.unwrap();
            assert_eq!(peer.frames().first().unwrap().opcode, PONG);
            peer.send(&frames::close_to(role, 1000, ""));
            let error = habit.once(&mut stream).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::BrokenPipe);
            assert_eq!(peer.frames().len(), 1, "our Close, and nothing that would be lost");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_writer_of_large_frames_looks_within_16_of_them() {
    for role in ROLES {
        let (mut stream, peer) = stream(role, PayloadType::Binary);
        let large = vec![1; 100_000];
        for _ in 0..1000 {
            stream.write_all(&large).await.unwrap();
            advance(Duration::from_micros(100)).await;
        }
        peer.received();
        advance(Duration::from_secs(1)).await;
        peer.send(&frames::to(role, PING, b"there?"));
        let mut count = 0;
        while !peer.frames().iter().any(|frame| frame.opcode == PONG) {
            stream.write_all(&large).await.unwrap();
            count += 1;
            assert!(count <= 17, "{count} writes");
        }
    }
}

fn poll_write(cx: &mut Context<'_>, stream: &mut Stream) -> Poll<std::io::Result<usize>> {
    Pin::new(stream).poll_write(cx, &[1; 50_000])
}

#[test]
fn a_writer_that_waits_is_woken_by_a_close_and_told() {
    for role in ROLES {
        for operation in ["write", "flush", "shutdown"] {
            let (mut stream, peer) = stream(role, PayloadType::Binary);
            peer.take_only(10);
            let mut writer = task::spawn(());
            let mut poll = |stream: &mut Stream| {
                writer.enter(|cx, _| match operation {
                    "write" => poll_write(cx, stream).map_ok(|_| ()),
                    "flush" => Pin::new(stream).poll_flush(cx),
                    _ => Pin::new(stream).poll_shutdown(cx),
                })
            };
            let mut filler = task::spawn(());
            while filler.enter(|cx, _| poll_write(cx, &mut stream)).is_ready() {}
            assert_pending!(poll(&mut stream));
            peer.send(&frames::close_to(role, 1000, ""));
            let polled = poll(&mut stream);
            if operation == "write" {
                assert_eq!(assert_ready!(polled).unwrap_err().kind(), ErrorKind::BrokenPipe);
            } else {
                assert_pending!(polled);
            }
            assert!(writer.is_woken(), "{operation}");
            assert!(stream.is_closed());
            peer.take_all();
            let mut writer = task::spawn(());
            assert_ready_ok!(writer.enter(|cx, _| Pin::new(&mut stream).poll_flush(cx)));
            assert_eq!(peer.frames().last().unwrap().opcode, CLOSE);
        }
    }
}

#[test]
fn a_writer_that_waits_answers_a_ping_as_soon_as_the_line_moves() {
    for role in ROLES {
        let (mut stream, peer) = stream(role, PayloadType::Binary);
        peer.take_only(10);
        let mut writer = task::spawn(());
        while writer.enter(|cx, _| poll_write(cx, &mut stream)).is_ready() {}
        peer.send(&frames::to(role, PING, b"there?"));
        assert!(writer.is_woken());
        assert_pending!(writer.enter(|cx, _| poll_write(cx, &mut stream)));
        peer.take_all();
        assert!(writer.is_woken());
        assert_ready_ok!(writer.enter(|cx, _| poll_write(cx, &mut stream)));
        let opcodes: Vec<u8> = peer.frames().iter().map(|frame| frame.opcode).collect();
        assert!(opcodes.contains(&PONG), "{opcodes:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn with_half_close_a_writer_goes_on_after_the_peers_close() {
    for role in ROLES {
        let (mut stream, peer) = stream(role, Config::new().half_close(true));
        peer.send(&frames::close_to(role, 1000, ""));
        for _ in 0..200 {
            Habit::WritesAndFlushes.once(&mut stream).await.unwrap();
            advance(Duration::from_millis(20)).await;
        }
        assert!(stream.is_closed());
        in_time(stream.shutdown()).await.unwrap();
        assert_eq!(peer.frames().last().unwrap().opcode, CLOSE);
    }
}

#[tokio::test(start_paused = true)]
async fn unread_payload_stops_a_writer_from_reading_and_is_still_there_for_a_reader() {
    for role in ROLES {
        let (mut stream, peer) = stream(role, PayloadType::Binary);
        let sent = common::bytes(100_000);
        for piece in sent.chunks(1000) {
            peer.send(&frames::to(role, BINARY, piece));
        }
        let before = peer.unread();
        for _ in 0..300 {
            Habit::WritesAndFlushes.once(&mut stream).await.unwrap();
            advance(Duration::from_millis(20)).await;
        }
        assert!(before - peer.unread() <= 8 * 1024, "the peer is to feel that nobody reads");
        let mut received = vec![0; sent.len()];
        in_time(stream.read_exact(&mut received)).await.unwrap();
        assert!(received == sent);
    }
}

#[tokio::test(start_paused = true)]
async fn a_writer_does_not_read_within_a_frame() {
    for role in ROLES {
        let (mut stream, peer) = stream(role, PayloadType::Binary);
        let frame = frames::to(role, BINARY, &common::bytes(50_000));
        peer.send(&frame[..20_000]);
        let mut start = vec![0; 100];
        in_time(stream.read_exact(&mut start)).await.unwrap();
        let before = peer.unread();
        for _ in 0..50 {
            Habit::WritesAndFlushes.once(&mut stream).await.unwrap();
            advance(Duration::from_millis(20)).await;
        }
        assert_eq!(peer.unread(), before);
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_is_read_as_well_is_left_to_its_reader() {
    for role in ROLES {
        let (mut stream, peer) = stream(role, PayloadType::Binary);
        peer.send(&frames::to(role, BINARY, b"hello"));
        for _ in 0..100 {
            // A request and its response, which is read in one go.
            Habit::WritesAndFlushes.once(&mut stream).await.unwrap();
            advance(Duration::from_millis(20)).await;
            assert_eq!(peer.unread(), frames::to(role, BINARY, b"hello").len());
            in_time(stream.read_exact(&mut [0; 5])).await.unwrap();
            peer.send(&frames::to(role, BINARY, b"hello"));
        }
    }
}

#[test]
fn a_reader_that_waits_is_woken_for_what_a_writer_has_read() {
    for role in ROLES {
        for sent in [frames::to(role, BINARY, b"x"), frames::close_to(role, 1000, "")] {
            let (mut stream, peer) = stream(role, PayloadType::Binary);
            let (mut reader, mut writer) = (task::spawn(()), task::spawn(()));
            let mut memory = [0; 9];
            let mut read = |stream: &mut Stream| {
                let mut buf = ReadBuf::new(&mut memory);
                reader.enter(|cx, _| {
                    tokio::io::AsyncRead::poll_read(Pin::new(stream), cx, &mut buf)
                        .map_ok(|()| buf.filled().len())
                })
            };
            assert_pending!(read(&mut stream));
            peer.take_only(10);
            while writer.enter(|cx, _| poll_write(cx, &mut stream)).is_ready() {}
            peer.send(&sent);
            // The writer is first.
            let _either = writer.enter(|cx, _| poll_write(cx, &mut stream));
            assert_eq!(peer.unread(), 0);
            let expected = usize::from(sent[0] & 0x0f == BINARY);
            assert_eq!(assert_ready_ok!(read(&mut stream)), expected);
            assert!(!reader.is_woken());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_broke_the_protocol_is_the_readers_to_know_and_ends_writing() {
    for role in ROLES {
        let (mut stream, peer) = stream(role, PayloadType::Binary);
        peer.send(&[0xff; 4]);
        let mut count = 0;
        let error = loop {
            match Habit::Writes.once(&mut stream).await {
                Ok(()) => advance(Duration::from_millis(20)).await,
                Err(error) => break error,
            }
            count += 1;
            assert!(count < 10);
        };
        assert_eq!(cause(&error), &Error::Closed);
        let error = in_time(stream.read_u8()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidData);
        let frames = peer.frames();
        let close = frames.last().unwrap();
        assert_eq!((close.opcode, &close.payload[..]), (CLOSE, &1002u16.to_be_bytes()[..]));
    }
}

#[tokio::test(start_paused = true)]
async fn the_next_write_or_flush_answers_itself() {
    for role in ROLES {
        for flushes in [false, true] {
            let (mut stream, peer) = stream(role, PayloadType::Binary);
            let act = async |stream: &mut Stream| {
                if flushes { stream.flush().await } else { stream.write_all(b"beat").await }
            };
            for _ in 0..3 {
                act(&mut stream).await.unwrap();
                advance(Duration::from_secs(20)).await;
            }
            peer.received();
            peer.send(&frames::to(role, PING, b"there?"));
            act(&mut stream).await.unwrap();
            assert!(peer.frames().iter().any(|frame| frame.opcode == PONG));
            peer.send(&frames::close_to(role, 1000, ""));
            advance(Duration::from_secs(20)).await;
            match act(&mut stream).await {
                Ok(()) => assert!(flushes),
                Err(error) => assert_eq!((error.kind(), flushes), (ErrorKind::BrokenPipe, false)),
            }
            let sent = peer.frames();
            assert_eq!(sent.last().unwrap().opcode, CLOSE);
            assert!(sent.iter().all(|frame| frame.opcode != BINARY), "lost");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_writer_that_has_just_begun_and_slows_down_notices_soon() {
    for role in ROLES {
        for (habit, at_most) in [(Habit::Writes, 17), (Habit::WritesAndFlushes, 5)] {
            let (mut stream, peer) = at_it(role, habit, Duration::from_micros(10)).await;
            peer.send(&frames::to(role, PING, b"there?"));
            let mut count = 0;
            while !peer.frames().iter().any(|frame| frame.opcode == PONG) {
                advance(Duration::from_secs(1)).await;
                habit.once(&mut stream).await.unwrap();
                count += 1;
            }
            assert!(count <= at_most, "{habit:?}: {count}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_has_given_up_is_not_relied_upon() {
    for role in ROLES {
        for habit in HABITS {
            let (mut stream, peer) = at_it(role, habit, Duration::from_millis(1)).await;
            // The transport wakes this one from now on, and nobody else.
            assert_pending!(task::spawn(stream.read_u8()).poll());
            peer.send(&frames::to(role, PING, b"there?"));
            let answered = |_: &_| peer.frames().iter().any(|frame| frame.opcode == PONG);
            let time = habit.until(&mut stream, Duration::from_millis(20), answered).await;
            assert!(time <= Duration::from_secs(1), "{habit:?}: {time:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_waits_is_woken_by_the_transport_though_a_writer_has_looked() {
    for role in ROLES {
        let (mut stream, peer) = stream(role, PayloadType::Binary);
        let mut memory = [0; 9];
        let mut buf = ReadBuf::new(&mut memory);
        let mut reader = task::spawn(());
        assert_pending!(reader.enter(|cx, _| Pin::new(&mut stream).poll_read(cx, &mut buf)));
        for _ in 0..10 {
            Habit::WritesAndFlushes.once(&mut stream).await.unwrap();
            advance(Duration::from_secs(1)).await;
        }
        assert!(!reader.is_woken());
        peer.send(&frames::to(role, BINARY, b"hello"));
        assert!(reader.is_woken());
    }
}

#[test]
fn a_writer_that_waits_looks_on_when_what_has_stopped_it_is_read() {
    for role in ROLES {
        let frame = frames::to(role, BINARY, b"xy");
        // It is stopped by payload, or within a frame.
        for cut in [frame.len(), frame.len() - 1] {
            let (mut stream, peer) = stream(role, PayloadType::Binary);
            let mut writer = task::spawn(());
            peer.take_only(10);
            while writer.enter(|cx, _| poll_write(cx, &mut stream)).is_ready() {}
            peer.send(&frame[..cut]);
            assert_pending!(writer.enter(|cx, _| poll_write(cx, &mut stream)));
            peer.send(&frame[cut..]);
            for _ in 0..2 {
                assert_ready_ok!(task::spawn(stream.read_u8()).poll());
            }
            assert!(writer.is_woken());
            assert_pending!(writer.enter(|cx, _| poll_write(cx, &mut stream)));
            peer.send(&frames::close_to(role, 1000, ""));
            assert!(writer.is_woken(), "cut at {cut}");
        }
    }
}

/// A transport that can be read before it has woken who waits for it, and that forgets who waited with
/// each read that gives something.
#[derive(Clone, Default)]
struct Lazy(Arc<Mutex<LazyState>>);

#[derive(Default)]
struct LazyState {
    incoming: VecDeque<u8>,
    reader: Option<Waker>,
}

impl Lazy {
    fn push(&self, bytes: &[u8]) {
        self.0.lock().unwrap().incoming.extend(bytes);
    }

    fn wake(&self) {
        let reader = self.0.lock().unwrap().reader.take();
        reader.into_iter().for_each(Waker::wake);
    }
}

impl AsyncRead for Lazy {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let mut state = self.0.lock().unwrap();
        state.reader = None;
        if state.incoming.is_empty() {
            state.reader = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let len = state.incoming.len().min(buf.remaining());
        let bytes: Vec<u8> = state.incoming.drain(..len).collect();
        buf.put_slice(&bytes);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Lazy {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        _: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Poll::Pending
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[test]
fn a_look_that_reads_a_header_only_leaves_the_reader_its_wake_up() {
    for role in ROLES {
        let lazy = Lazy::default();
        let mut stream = WebSocketStream::after_handshake(lazy.clone(), role, PayloadType::Binary);
        let (mut reader, mut writer) = (task::spawn(()), task::spawn(()));
        let mut memory = [0; 9];
        let mut buf = ReadBuf::new(&mut memory);
        assert_pending!(reader.enter(|cx, _| Pin::new(&mut stream).poll_read(cx, &mut buf)));
        let mut write = |stream: &mut WebSocketStream<Lazy>| {
            writer.enter(|cx, _| Pin::new(stream).poll_write(cx, &[1; 50_000]))
        };
        while write(&mut stream).is_ready() {}
        let frame = frames::to(role, BINARY, b"hello");
        lazy.push(&frame[..frame.len() - 5]);
        assert_pending!(write(&mut stream));
        lazy.wake();
        lazy.push(&frame[frame.len() - 5..]);
        lazy.wake();
        assert!(reader.is_woken());
    }
}

/// A transport with a time limit for reads: once it is over, a read that finds nothing says so.
struct TimedOutReads<S> {
    io: S,
    reads: Arc<AtomicUsize>,
}

impl<S: AsyncRead + Unpin> AsyncRead for TimedOutReads<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        match Pin::new(&mut self.io).poll_read(cx, buf) {
            Poll::Pending => Poll::Ready(Err(ErrorKind::TimedOut.into())),
            read => read,
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for TimedOutReads<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

#[test]
fn a_writer_does_not_spin_on_a_transport_whose_reads_have_timed_out() {
    for role in ROLES {
        let (io, _far) = tokio::io::duplex(64);
        let reads = Arc::default();
        let io = TimedOutReads { io, reads: Arc::clone(&reads) };
        let mut stream = WebSocketStream::after_handshake(io, role, PayloadType::Binary);
        let mut writer = task::spawn(());
        let mut write = || writer.enter(|cx, _| Pin::new(&mut stream).poll_write(cx, &[1; 50_000]));
        while write().is_ready() {}
        for _ in 0..100 {
            assert_pending!(write());
        }
        assert!(!writer.is_woken());
        assert!(reads.load(Ordering::Relaxed) < 10);
        let error = tokio_test::assert_ready_err!(task::spawn(stream.read_u8()).poll());
        assert_eq!(error.kind(), ErrorKind::TimedOut, "it is the reader's");
    }
}

#[tokio::test(start_paused = true)]
async fn a_writer_looks_on_though_a_read_has_timed_out() {
    for role in ROLES {
        let (io, mut far) = tokio::io::duplex(64 * 1024);
        let io = TimedOutReads { io, reads: Arc::default() };
        let mut stream = WebSocketStream::after_handshake(io, role, PayloadType::Binary);
        for _ in 0..10 {
            stream.write_all(b"beat").await.unwrap();
            advance(Duration::from_secs(1)).await;
        }
        far.write_all(&frames::close_to(role, 1000, "")).await.unwrap();
        let error = in_time(stream.write_all(b"beat")).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::BrokenPipe);
    }
}

/// A transport whose writes poll the read direction of what is below, as those of TLS libraries may:
/// then that wakes the writer, and no more the task that has polled a read.
struct TakesWakeUps<S> {
    io: S,
    last: Arc<Last>,
}

/// The task that has polled last.
struct Last(Mutex<Waker>);

impl Wake for Last {
    fn wake(self: Arc<Self>) {
        self.0.lock().unwrap().wake_by_ref();
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for TakesWakeUps<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        self.last.0.lock().unwrap().clone_from(cx.waker());
        let last = Waker::from(Arc::clone(&self.last));
        Pin::new(&mut self.io).poll_read(&mut Context::from_waker(&last), buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for TakesWakeUps<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        self.last.0.lock().unwrap().clone_from(cx.waker());
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

#[tokio::test(start_paused = true)]
async fn a_writer_notices_within_two_seconds_though_its_writes_take_the_wake_up_of_reads() {
    for role in ROLES {
        for pause in [Duration::from_secs(1), Duration::from_millis(1)] {
            let (io, mut far) = tokio::io::duplex(1 << 20);
            let io = TakesWakeUps { io, last: Arc::new(Last(Mutex::new(Waker::noop().clone()))) };
            let mut stream = WebSocketStream::after_handshake(io, role, PayloadType::Binary);
            for _ in 0..300 {
                stream.write_all(b"beat").await.unwrap();
                advance(pause).await;
            }
            far.write_all(&frames::close_to(role, 1000, "")).await.unwrap();
            let start = Instant::now();
            while stream.write_all(b"beat").await.is_ok() {
                assert!(start.elapsed() <= Duration::from_secs(2), "every {pause:?}");
                advance(pause).await;
            }
        }
    }
}
