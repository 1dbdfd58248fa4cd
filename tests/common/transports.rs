//! Transports named for how they behave.

use super::frames::{self, Frame};
use std::{
    collections::VecDeque,
    io::{self, IoSlice},
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard},
    task::{Context, Poll, Waker, ready},
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A transport whose other end is in the test's hand. It remembers one waker a direction, the
/// last, as the contract of `AsyncRead` and `AsyncWrite` allows: a poll that is `Ready` forgets the
/// waker of the poll before it.
///
/// It panics if a write that was `Pending` isn't tried again with the same bytes, as OpenSSL fails.
#[derive(Clone)]
pub(crate) struct Wire(Arc<Mutex<State>>);

/// The other end of a [`Wire`].
pub(crate) struct Peer(Arc<Mutex<State>>);

/// The other end of a [`Wire`] as a transport.
pub(crate) struct FarEnd(Arc<Mutex<State>>);

/// The bytes of a write that was `Pending`. The write after it has to begin with them, and nothing
/// else may be asked of the write direction before it.
#[derive(Default)]
pub(crate) struct Offered {
    bytes: Vec<u8>,
    pending: bool,
}

impl Offered {
    /// Looks at a write. What was offered counts no more, until it is `Pending` again.
    pub(crate) fn check_write(&mut self, slices: &[IoSlice<'_>]) {
        if !std::mem::take(&mut self.pending) {
            return;
        }
        let mut left = &self.bytes[..];
        for slice in slices {
            let (begun, rest) = left.split_at(slice.len().min(left.len()));
            assert!(slice.starts_with(begun), "a retry differs: other bytes");
            left = rest;
        }
        assert!(left.is_empty(), "a retry differs: it is {} bytes shorter", left.len());
    }

    /// Looks at a flush or shutdown.
    pub(crate) fn check_other(&self, what: &str) {
        assert!(!self.pending, "a retry differs: {what} comes before it");
    }

    /// A write was `Pending`.
    pub(crate) fn remember(&mut self, slices: &[IoSlice<'_>]) {
        self.pending = true;
        self.bytes.clear();
        slices.iter().for_each(|slice| self.bytes.extend_from_slice(slice));
    }

    /// The write direction failed: no retry is expected.
    pub(crate) fn forget(&mut self) {
        self.pending = false;
    }
}

struct State {
    incoming: VecDeque<u8>,
    ended: bool,
    read_error: Option<io::Error>,
    reader: Option<Waker>,
    /// The most bytes that one read gives.
    read_at_most: usize,
    reads: usize,

    /// The bytes of each write.
    writes: Vec<Vec<u8>>,
    /// Bytes that are taken before the wire is busy.
    room: usize,
    /// The most bytes that one write takes.
    write_at_most: usize,
    write_error: Option<io::Error>,
    /// Writes that are taken before that error.
    writes_before_error: usize,
    takes_nothing: bool,
    writer: Option<Waker>,
    offered: Offered,
    vectored: bool,
    /// Written and not yet flushed, if this wire buffers.
    unflushed: Option<Vec<u8>>,
    flush_blocked: bool,
    flush_error: Option<io::ErrorKind>,
    one_flush_error: Option<io::ErrorKind>,
    polls_of_write: usize,
    shutdown: bool,
    shutdown_blocked: bool,
    shutdown_error: Option<io::Error>,
    /// Who reads what was written, if the other end is a transport.
    far_reader: Option<Waker>,
}

impl State {
    /// What was written can be read at the other end.
    fn arrived(&mut self) {
        self.far_reader.take().into_iter().for_each(Waker::wake);
    }
}

impl Wire {
    pub(crate) fn new() -> (Self, Peer) {
        let state = Arc::new(Mutex::new(State {
            incoming: VecDeque::new(),
            ended: false,
            read_error: None,
            reader: None,
            read_at_most: usize::MAX,
            reads: 0,
            writes: Vec::new(),
            room: usize::MAX,
            write_at_most: usize::MAX,
            write_error: None,
            writes_before_error: 0,
            takes_nothing: false,
            writer: None,
            offered: Offered::default(),
            vectored: true,
            unflushed: None,
            flush_blocked: false,
            flush_error: None,
            one_flush_error: None,
            polls_of_write: 0,
            shutdown: false,
            shutdown_blocked: false,
            shutdown_error: None,
            far_reader: None,
        }));
        (Self(Arc::clone(&state)), Peer(state))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }
}

impl Peer {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    /// Changes what can be read, and wakes who reads.
    fn change_reads(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.state();
        change(&mut state);
        let reader = state.reader.take();
        drop(state);
        reader.into_iter().for_each(Waker::wake);
    }

    /// The same end, as a transport.
    pub(crate) fn far_end(&self) -> FarEnd {
        FarEnd(Arc::clone(&self.0))
    }

    /// Fails something of the write direction, and wakes who writes.
    fn fail(&self, change: impl FnOnce(&mut State)) {
        self.change_writes(|state| {
            state.offered.forget();
            change(state);
        });
    }

    /// Changes what can be written, and wakes who writes.
    fn change_writes(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.state();
        change(&mut state);
        let writer = state.writer.take();
        drop(state);
        writer.into_iter().for_each(Waker::wake);
    }

    pub(crate) fn send(&self, bytes: &[u8]) {
        self.change_reads(|state| state.incoming.extend(bytes));
    }

    /// Bytes that nobody has read yet.
    pub(crate) fn unread(&self) -> usize {
        self.state().incoming.len()
    }

    /// Ends the transport without more ado.
    pub(crate) fn end(&self) {
        self.change_reads(|state| state.ended = true);
    }

    pub(crate) fn fail_reads(&self, kind: io::ErrorKind) {
        self.change_reads(|state| state.read_error = Some(kind.into()));
    }

    pub(crate) fn fail_writes(&self, kind: io::ErrorKind) {
        self.fail(|state| state.write_error = Some(kind.into()));
    }

    /// Fails one write, after this many others.
    pub(crate) fn fail_write_after(&self, writes: usize, kind: io::ErrorKind) {
        self.state().writes_before_error = writes;
        self.fail_writes(kind);
    }

    /// Fails every flush.
    pub(crate) fn fail_flushes(&self, kind: io::ErrorKind) {
        self.fail(|state| state.flush_error = Some(kind));
    }

    /// Fails one flush.
    pub(crate) fn fail_one_flush(&self, kind: io::ErrorKind) {
        self.change_writes(|state| state.one_flush_error = Some(kind));
    }

    pub(crate) fn fail_shutdown(&self, kind: io::ErrorKind) {
        self.fail(|state| state.shutdown_error = Some(kind.into()));
    }

    /// Takes this many bytes and no more, for now.
    pub(crate) fn take_only(&self, room: usize) {
        self.state().room = room;
    }

    /// Takes this many more.
    pub(crate) fn take(&self, room: usize) {
        self.change_writes(|state| state.room = room);
    }

    pub(crate) fn take_all(&self) {
        self.take(usize::MAX);
    }

    /// Answers writes with `Ok(0)`.
    pub(crate) fn take_nothing_any_more(&self) {
        self.fail(|state| state.takes_nothing = true);
    }

    pub(crate) fn read_at_most(&self, bytes: usize) {
        self.state().read_at_most = bytes;
    }

    pub(crate) fn write_at_most(&self, bytes: usize) {
        self.state().write_at_most = bytes;
    }

    /// Becomes a transport without vectored writes, such as hyper's HTTP/2 streams.
    pub(crate) fn not_vectored(&self) {
        self.state().vectored = false;
    }

    /// Becomes a transport that passes nothing on before it is flushed.
    pub(crate) fn buffering(&self) {
        self.state().unflushed = Some(Vec::new());
    }

    pub(crate) fn block_flush(&self, blocked: bool) {
        self.change_writes(|state| state.flush_blocked = blocked);
    }

    pub(crate) fn block_shutdown(&self, blocked: bool) {
        self.change_writes(|state| state.shutdown_blocked = blocked);
    }

    /// The bytes of each write so far, taken out.
    pub(crate) fn writes(&self) -> Vec<Vec<u8>> {
        std::mem::take(&mut self.state().writes)
    }

    /// All bytes so far, taken out.
    pub(crate) fn received(&self) -> Vec<u8> {
        self.writes().concat()
    }

    /// The frames so far, taken out.
    pub(crate) fn frames(&self) -> Vec<Frame> {
        frames::parse(&self.received())
    }

    pub(crate) fn is_shut_down(&self) -> bool {
        self.state().shutdown
    }

    /// How often reads were answered, and writes asked.
    pub(crate) fn polls(&self) -> (usize, usize) {
        let state = self.state();
        (state.reads, state.polls_of_write)
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut state = self.state();
        state.reads += 1;
        state.reader = None;
        let len = state.incoming.len().min(buf.remaining()).min(state.read_at_most);
        if len > 0 {
            let bytes: Vec<u8> = state.incoming.drain(..len).collect();
            buf.put_slice(&bytes);
            return Poll::Ready(Ok(()));
        }
        if let Some(error) = state.read_error.take() {
            return Poll::Ready(Err(error));
        }
        if state.ended || buf.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        state.reader = Some(cx.waker().clone());
        Poll::Pending
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut state = self.state();
        assert!(!state.shutdown, "a write after the end of the transport");
        state.polls_of_write += 1;
        state.offered.check_write(slices);
        state.writer = None;
        if state.write_error.is_some() && state.writes_before_error > 0 {
            state.writes_before_error -= 1;
        } else if let Some(error) = state.write_error.take() {
            return Poll::Ready(Err(error));
        }
        if state.takes_nothing {
            return Poll::Ready(Ok(0));
        }
        let mut bytes: Vec<u8> = Vec::new();
        slices.iter().for_each(|slice| bytes.extend_from_slice(slice));
        bytes.truncate(state.room.min(state.write_at_most));
        if bytes.is_empty() {
            state.writer = Some(cx.waker().clone());
            state.offered.remember(slices);
            return Poll::Pending;
        }
        let len = bytes.len();
        if state.room != usize::MAX {
            state.room -= len;
        }
        match &mut state.unflushed {
            Some(unflushed) => unflushed.extend(bytes),
            None => {
                state.writes.push(bytes);
                state.arrived();
            }
        }
        Poll::Ready(Ok(len))
    }

    fn is_write_vectored(&self) -> bool {
        self.state().vectored
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut state = self.state();
        state.offered.check_other("a flush");
        state.writer = None;
        if let Some(kind) = state.one_flush_error.take() {
            return Poll::Ready(Err(kind.into()));
        }
        if let Some(kind) = state.flush_error {
            return Poll::Ready(Err(kind.into()));
        }
        if state.flush_blocked {
            state.writer = Some(cx.waker().clone());
            return Poll::Pending;
        }
        if let Some(unflushed) = &mut state.unflushed {
            let bytes = std::mem::take(unflushed);
            state.writes.push(bytes);
            state.arrived();
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.state().offered.check_other("a shutdown");
        assert!(!self.state().shutdown, "the transport is ended a second time");
        ready!(Pin::new(&mut self.clone()).poll_flush(cx))?;
        let mut state = self.state();
        if state.shutdown_blocked {
            state.writer = Some(cx.waker().clone());
            return Poll::Pending;
        }
        state.shutdown = true;
        state.arrived();
        match state.shutdown_error.take() {
            Some(error) => Poll::Ready(Err(error)),
            None => Poll::Ready(Ok(())),
        }
    }
}

impl AsyncRead for FarEnd {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut state = self.0.lock().unwrap();
        if buf.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        let mut taken = 0;
        for bytes in &mut state.writes {
            let len = bytes.len().min(buf.remaining());
            buf.put_slice(&bytes[..len]);
            if len < bytes.len() {
                bytes.drain(..len);
                break;
            }
            taken += 1;
        }
        state.writes.drain(..taken);
        if !buf.filled().is_empty() || state.shutdown {
            return Poll::Ready(Ok(()));
        }
        state.far_reader = Some(cx.waker().clone());
        Poll::Pending
    }
}

impl AsyncWrite for FarEnd {
    fn poll_write(
        self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Peer(Arc::clone(&self.0)).send(buf);
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Peer(Arc::clone(&self.0)).end();
        Poll::Ready(Ok(()))
    }
}

/// Every other poll of either direction is `Pending`, and wakes the task that it put off.
pub(crate) struct PendingEveryOther<S> {
    pub(crate) io: S,
    put_off_read: bool,
    put_off_write: bool,
    offered: Offered,
}

impl<S> PendingEveryOther<S> {
    pub(crate) fn new(io: S) -> Self {
        Self { io, put_off_read: false, put_off_write: false, offered: Offered::default() }
    }
}

fn put_off(put_off: &mut bool, cx: &mut Context<'_>) -> Poll<()> {
    *put_off = !*put_off;
    if *put_off {
        cx.waker().wake_by_ref();
        return Poll::Pending;
    }
    Poll::Ready(())
}

impl<S: AsyncRead + Unpin> AsyncRead for PendingEveryOther<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        ready!(put_off(&mut self.put_off_read, cx));
        Pin::new(&mut self.io).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for PendingEveryOther<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let slices = [IoSlice::new(buf)];
        self.offered.check_write(&slices);
        if put_off(&mut self.put_off_write, cx).is_pending() {
            self.offered.remember(&slices);
            return Poll::Pending;
        }
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.offered.check_write(slices);
        if put_off(&mut self.put_off_write, cx).is_pending() {
            self.offered.remember(slices);
            return Poll::Pending;
        }
        Pin::new(&mut self.io).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.offered.check_other("a flush");
        ready!(put_off(&mut self.put_off_write, cx));
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.offered.check_other("a shutdown");
        ready!(put_off(&mut self.put_off_write, cx));
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

/// Gives and takes one byte at a time.
pub(crate) struct OneByteAtATime<S>(pub(crate) S);

impl<S: AsyncRead + Unpin> AsyncRead for OneByteAtATime<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut byte = [0];
        let mut one = ReadBuf::new(&mut byte);
        ready!(Pin::new(&mut self.0).poll_read(cx, &mut one))?;
        buf.put_slice(one.filled());
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for OneByteAtATime<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, &buf[..buf.len().min(1)])
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}
