//! A transport that gives, takes and puts off as the choices say.
//!
//! It panics if a write that was `Pending` isn't tried again with the same bytes. It remembers the
//! waker of the last poll of each direction and wakes that one only.

use super::choices::Choices;
use std::{
    cell::RefCell,
    collections::VecDeque,
    io::{self, IoSlice},
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, Waker, ready},
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// One direction. Like a socket it remembers one waker at each end, the last.
pub(crate) struct Line {
    pub(crate) bytes: VecDeque<u8>,
    /// Bytes that were written to a buffering transport and not flushed.
    pub(crate) held: Vec<u8>,
    /// Bytes that a library at the writing end has taken and not written yet.
    pub(crate) kept: VecDeque<u8>,
    pub(crate) end: End,
    /// The most bytes that it holds.
    capacity: usize,
    /// Bytes that are taken before a write fails.
    pub(crate) fails_after: Option<usize>,
    buffering: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
    /// An end was put off though it could have gone on.
    put_off: bool,
    /// Counts whatever happened.
    pub(crate) moved: usize,
}

/// What comes after the bytes of a line.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum End {
    /// More may come, or nothing at all.
    Open,
    Eof,
    Error(io::ErrorKind),
}

impl Line {
    pub(crate) fn new(capacity: usize, buffering: bool) -> Rc<RefCell<Self>> {
        Rc::new(RefCell::new(Self {
            bytes: VecDeque::new(),
            held: Vec::new(),
            kept: VecDeque::new(),
            end: End::Open,
            capacity,
            fails_after: None,
            buffering,
            reader: None,
            writer: None,
            put_off: false,
            moved: 0,
        }))
    }

    /// Whoever was put off may try again.
    pub(crate) fn go_on(&mut self) -> Vec<Waker> {
        if !self.put_off {
            return Vec::new();
        }
        self.put_off = false;
        self.moved += 1;
        [self.reader.take(), self.writer.take()].into_iter().flatten().collect()
    }

    fn wake_reader(&mut self) {
        self.moved += 1;
        self.reader.take().into_iter().for_each(Waker::wake);
    }

    fn wake_writer(&mut self) {
        self.moved += 1;
        self.writer.take().into_iter().for_each(Waker::wake);
    }

    fn room(&self) -> usize {
        self.capacity.saturating_sub(self.bytes.len() + self.held.len())
    }

    fn release(&mut self) {
        if !self.held.is_empty() {
            self.bytes.extend(self.held.drain(..));
            self.wake_reader();
        }
    }
}

/// One end of two lines.
pub(crate) struct Transport {
    choices: Choices,
    incoming: Rc<RefCell<Line>>,
    outgoing: Rc<RefCell<Line>>,
    vectored: bool,
    /// The bytes that it keeps at most, if it is a library, as those for TLS are. It takes bytes
    /// though the line has no room, and writes them to the line when it is asked to write or flush:
    /// reads don't. A `Ready` write that left bytes behind waits for the line in place of the poll
    /// before it.
    keeps: Option<usize>,
    /// What a write offered that was `Pending`.
    offered: Vec<u8>,
    is_pending: bool,
}

impl Transport {
    pub(crate) fn new(
        choices: &Choices,
        incoming: &Rc<RefCell<Line>>,
        outgoing: &Rc<RefCell<Line>>,
    ) -> Self {
        Self {
            choices: choices.clone(),
            incoming: Rc::clone(incoming),
            outgoing: Rc::clone(outgoing),
            vectored: !choices.one_in(2),
            keeps: choices.pick_from_the_end(&[
                None,
                None,
                None,
                Some(100),
                Some(2000),
                Some(20_000),
            ]),
            offered: Vec::new(),
            is_pending: false,
        }
    }

    /// A retry begins with the bytes that were offered.
    fn check_retry(&mut self, slices: &[IoSlice<'_>]) {
        if std::mem::take(&mut self.is_pending) {
            let mut left = &self.offered[..];
            for slice in slices {
                let (begun, rest) = left.split_at(slice.len().min(left.len()));
                assert!(slice.starts_with(begun), "a retry differs: other bytes");
                left = rest;
            }
            assert!(left.is_empty(), "a retry differs: it is {} bytes shorter", left.len());
        }
    }

    /// Takes into the line what there is room for, at once or for a later flush.
    fn write_to_line(
        &self,
        line: &mut Line,
        cx: &Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        assert!(line.end == End::Open, "a write after the end of the transport");
        let mut room = line.room();
        if room == 0 {
            line.release();
            line.writer = Some(cx.waker().clone());
            return Poll::Pending;
        }
        if self.choices.one_in(3) {
            room = room.min(1 + self.choices.below(300));
        }
        if let Some(left) = &mut line.fails_after {
            if *left == 0 {
                line.moved += 1;
                return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
            }
            room = room.min(*left);
        }
        let mut len = 0;
        for slice in slices {
            let taken = &slice[..slice.len().min(room - len)];
            line.held.extend_from_slice(taken);
            len += taken.len();
        }
        assert!(len > 0, "an empty write");
        if let Some(left) = &mut line.fails_after {
            *left -= len;
        }
        if !line.buffering {
            line.release();
        }
        line.moved += 1;
        line.writer = None;
        Poll::Ready(Ok(len))
    }

    /// Writes to the line what the library has kept.
    fn pass_on(&self, cx: &Context<'_>) -> Poll<io::Result<()>> {
        if self.outgoing.borrow().kept.is_empty() {
            return Poll::Ready(Ok(()));
        }
        if self.put_off_write(cx, 4) {
            return Poll::Pending;
        }
        let mut line = self.outgoing.borrow_mut();
        while !line.kept.is_empty() {
            let kept = line.kept.make_contiguous().to_vec();
            let written = ready!(self.write_to_line(&mut line, cx, &[IoSlice::new(&kept)]))?;
            line.kept.drain(..written);
        }
        Poll::Ready(Ok(()))
    }

    fn write_to_library(
        &self,
        cx: &Context<'_>,
        slices: &[IoSlice<'_>],
        keeps: usize,
    ) -> Poll<io::Result<usize>> {
        if let Poll::Ready(Err(error)) = self.pass_on(cx) {
            return Poll::Ready(Err(error));
        }
        let taken = {
            let mut line = self.outgoing.borrow_mut();
            assert!(line.end == End::Open, "a write after the end of the transport");
            let before = line.kept.len();
            for slice in slices {
                let len = slice.len().min(keeps - line.kept.len());
                line.kept.extend(&slice[..len]);
            }
            line.kept.len() - before
        };
        if taken == 0 {
            return Poll::Pending;
        }
        self.outgoing.borrow_mut().moved += 1;
        // An error is for the next write.
        let _passed_on = self.pass_on(cx);
        Poll::Ready(Ok(taken))
    }

    /// What has to be done before a flush or shutdown.
    fn poll_ready_to_flush(&self, cx: &Context<'_>) -> Poll<io::Result<()>> {
        assert!(!self.is_pending, "a retry differs: a flush or shutdown comes before it");
        if self.put_off_write(cx, 6) {
            return Poll::Pending;
        }
        ready!(self.pass_on(cx))?;
        let mut line = self.outgoing.borrow_mut();
        line.release();
        line.writer = None;
        Poll::Ready(Ok(()))
    }

    fn put_off_write(&self, cx: &Context<'_>, odds: usize) -> bool {
        let put_off = self.choices.one_in(odds);
        if put_off {
            let mut line = self.outgoing.borrow_mut();
            line.put_off = true;
            line.writer = Some(cx.waker().clone());
        }
        put_off
    }
}

impl AsyncRead for Transport {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut line = self.incoming.borrow_mut();
        let put_off = self.choices.one_in(5);
        if put_off || (line.bytes.is_empty() && line.end == End::Open) {
            line.put_off |= put_off;
            line.reader = Some(cx.waker().clone());
            return Poll::Pending;
        }
        line.reader = None;
        if line.bytes.is_empty() {
            line.moved += 1;
            return Poll::Ready(match line.end {
                End::Error(kind) => Err(kind.into()),
                _ => Ok(()),
            });
        }
        let most = line.bytes.len().min(buf.remaining());
        let len = if self.choices.one_in(3) { 1 + self.choices.below(40) } else { most };
        let bytes: Vec<u8> = line.bytes.drain(..len.min(most)).collect();
        buf.put_slice(&bytes);
        line.wake_writer();
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Transport {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.check_retry(slices);
        let written = match self.keeps {
            Some(keeps) => self.write_to_library(cx, slices, keeps),
            None if self.put_off_write(cx, 4) => Poll::Pending,
            None => {
                let mut line = self.outgoing.borrow_mut();
                self.write_to_line(&mut line, cx, slices)
            }
        };
        if written.is_pending() {
            self.is_pending = true;
            self.offered.clear();
            slices.iter().for_each(|slice| self.offered.extend_from_slice(slice));
        }
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.vectored
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_ready_to_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_ready_to_flush(cx))?;
        let mut line = self.outgoing.borrow_mut();
        line.end = End::Eof;
        line.wake_reader();
        Poll::Ready(Ok(()))
    }
}
