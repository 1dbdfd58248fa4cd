//! A transport that does everything that the contract of `AsyncRead` and `AsyncWrite` allows.

use super::{Boxed, tasks};
use crate::common::transports::Offered;
use std::{
    collections::VecDeque,
    future::poll_fn,
    io::{self, IoSlice},
    pin::Pin,
    sync::{Arc, Mutex, Weak},
    task::{Context, Poll, Wake, Waker, ready},
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Bytes that it keeps, at most.
const KEEPS: usize = 1000;

/// What one read gives, and one write takes, at most.
const AMOUNTS: [usize; 6] = [1, 700, 7, 16_384, 3, 100];

/// Takes bytes into a buffer of its own and passes them on as the line takes them, as TLS libraries
/// do: a write that is `Ready` may have left bytes behind, which a later write or flush passes on. It
/// takes and gives odd amounts, and puts off what could be done. It remembers the waker of the last
/// poll of each direction and wakes that one only: where a `Ready` write left bytes behind, its waker
/// takes the place of the one before. It panics if a retry differs.
pub(super) struct Hostile {
    io: Boxed,
    state: Arc<Mutex<State>>,
    wakers: [Waker; 2],
}

#[derive(Default)]
struct State {
    kept: VecDeque<u8>,
    offered: Offered,
    read: Direction,
    write: Direction,
    /// Wakes those that were put off.
    driver: Option<Waker>,
}

#[derive(Default)]
struct Direction {
    polls: usize,
    waker: Option<Waker>,
    put_off: bool,
}

#[derive(Clone, Copy)]
enum Which {
    Read,
    Write,
}

impl State {
    fn direction(&mut self, which: Which) -> &mut Direction {
        match which {
            Which::Read => &mut self.read,
            Which::Write => &mut self.write,
        }
    }

    /// Whether this poll of the direction is put off; then it is woken soon.
    fn puts_off(&mut self, which: Which) -> bool {
        let direction = self.direction(which);
        direction.polls += 1;
        // One in three, but in no step with the polls of a task: it would be put off for ever.
        let put_off = (direction.polls as u32).wrapping_mul(2_654_435_761) >> 16 & 0xff < 0x55;
        if put_off {
            direction.put_off = true;
            self.driver.take().into_iter().for_each(Waker::wake);
        }
        put_off
    }
}

/// Wakes who polled last.
struct Last {
    state: Weak<Mutex<State>>,
    which: Which,
}

impl Wake for Last {
    fn wake(self: Arc<Self>) {
        if let Some(state) = self.state.upgrade() {
            let waker = state.lock().unwrap().direction(self.which).waker.take();
            waker.into_iter().for_each(Waker::wake);
        }
    }
}

impl Hostile {
    pub(super) fn new(io: Boxed) -> Self {
        let state = Arc::<Mutex<State>>::default();
        let weak = Arc::downgrade(&state);
        let wakers = [Which::Read, Which::Write]
            .map(|which| Waker::from(Arc::new(Last { state: weak.clone(), which })));
        tasks::spawn(poll_fn(move |cx| {
            let Some(state) = weak.upgrade() else {
                return Poll::Ready(());
            };
            let mut state = state.lock().unwrap();
            state.driver = Some(cx.waker().clone());
            let mut due = Vec::new();
            for which in [Which::Read, Which::Write] {
                let direction = state.direction(which);
                if std::mem::take(&mut direction.put_off) {
                    due.extend(direction.waker.take());
                }
            }
            drop(state);
            due.into_iter().for_each(Waker::wake);
            Poll::Pending
        }));
        Self { io, state, wakers }
    }

    fn remember(&self, which: Which, waker: Option<&Waker>) {
        self.state.lock().unwrap().direction(which).waker = waker.cloned();
    }

    /// Passes on what it has kept, as far as the line takes it.
    fn pass_on(&mut self) -> Poll<io::Result<()>> {
        let mut cx = Context::from_waker(&self.wakers[1]);
        loop {
            let mut kept = std::mem::take(&mut self.state.lock().unwrap().kept);
            let written = match kept.is_empty() {
                true => return Poll::Ready(Ok(())),
                false => Pin::new(&mut self.io).poll_write(&mut cx, kept.make_contiguous()),
            };
            if let Poll::Ready(Ok(n)) = written {
                kept.drain(..n);
            }
            self.state.lock().unwrap().kept = kept;
            ready!(written)?;
        }
    }

    /// Flushes or shuts down, what comes after everything that was kept.
    fn poll_behind_all(
        &mut self,
        cx: &mut Context<'_>,
        what: &str,
        poll: impl FnOnce(Pin<&mut Boxed>, &mut Context<'_>) -> Poll<io::Result<()>>,
    ) -> Poll<io::Result<()>> {
        let put_off = {
            let mut state = self.state.lock().unwrap();
            state.offered.check_other(what);
            state.puts_off(Which::Write)
        };
        self.remember(Which::Write, Some(cx.waker()));
        if put_off {
            return Poll::Pending;
        }
        ready!(self.pass_on())?;
        ready!(poll(Pin::new(&mut self.io), &mut Context::from_waker(&self.wakers[1])))?;
        self.remember(Which::Write, None);
        Poll::Ready(Ok(()))
    }
}

impl Drop for Hostile {
    fn drop(&mut self) {
        let driver = self.state.lock().unwrap().driver.take();
        self.state = Arc::default();
        driver.into_iter().for_each(Waker::wake);
    }
}

impl AsyncRead for Hostile {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.remember(Which::Read, Some(cx.waker()));
        let amount = {
            let mut state = self.state.lock().unwrap();
            if state.puts_off(Which::Read) {
                return Poll::Pending;
            }
            AMOUNTS[state.read.polls % AMOUNTS.len()]
        };
        let mut memory = vec![0; amount.min(buf.remaining())];
        let mut part = ReadBuf::new(&mut memory);
        let this = &mut *self;
        let mut cx = Context::from_waker(&this.wakers[0]);
        ready!(Pin::new(&mut this.io).poll_read(&mut cx, &mut part))?;
        buf.put_slice(part.filled());
        self.remember(Which::Read, None);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Hostile {
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
        let put_off = {
            let mut state = self.state.lock().unwrap();
            state.offered.check_write(slices);
            state.puts_off(Which::Write)
        };
        self.remember(Which::Write, Some(cx.waker()));
        if !put_off {
            if let Poll::Ready(Err(error)) = self.pass_on() {
                return Poll::Ready(Err(error));
            }
        }
        let taken = {
            let mut state = self.state.lock().unwrap();
            let room = (KEEPS - state.kept.len()).min(AMOUNTS[state.write.polls % AMOUNTS.len()]);
            let before = state.kept.len();
            let bytes = slices.iter().flat_map(|slice| slice.iter());
            state.kept.extend(bytes.take(room));
            state.kept.len() - before
        };
        if taken == 0 {
            self.state.lock().unwrap().offered.remember(slices);
            return Poll::Pending;
        }
        // An error of these bytes comes next time.
        if !put_off && matches!(self.pass_on(), Poll::Ready(Ok(()))) {
            self.remember(Which::Write, None);
        }
        Poll::Ready(Ok(taken))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_behind_all(cx, "a flush", |io, cx| io.poll_flush(cx))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_behind_all(cx, "a shutdown", |io, cx| io.poll_shutdown(cx))
    }
}
