//! Who is woken when the transport has moved.
//!
//! A transport remembers one waker for a direction, that of the last poll, and may forget the others
//! whatever that poll returned. Here two tasks poll its write direction, because reading sends pongs,
//! Closes and what an earlier write left behind; and a TLS library may poll both directions of its own
//! transport in either. So while one task waits, the other polls the transport with a waker that wakes
//! both, made only if there are two tasks. And a poll that is `Ready` for one of them wakes the other if
//! that waits for the same: the transport may owe it no wake-up any more.

use std::{
    sync::Arc,
    task::{Context, Poll, Wake, Waker},
};

/// On whose behalf the transport is polled.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    /// Reads. They never wait for the write direction; they only keep it moving.
    Reader,
    /// Writes, flushes, shutdowns and closes.
    Writer,
}

/// The task that waits in each direction.
#[derive(Default)]
pub(super) struct Wakers {
    /// The task whose read had to wait last.
    reader: Option<Waker>,
    /// Whether it waits still, as far as is known: it may have given up.
    is_reading: bool,
    /// Whether that task also waits for the write direction.
    reader_sends: bool,
    /// The task that waits to write.
    writer: Option<Waker>,
    /// Whether anybody waits for the write direction.
    is_busy: bool,
    /// The waker of both, kept while it is of use.
    both: Option<Arc<Both>>,
}

struct Both {
    reader: Waker,
    writer: Waker,
}

impl Wake for Both {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.reader.wake_by_ref();
        self.writer.wake_by_ref();
    }
}

impl Wakers {
    /// A read has to wait.
    pub(super) fn wait_to_read(&mut self, waker: &Waker) {
        self.is_reading = true;
        self.wait(Side::Reader, waker);
    }

    /// Remembers the task of this side.
    fn wait(&mut self, side: Side, waker: &Waker) {
        let place = match side {
            Side::Reader => &mut self.reader,
            Side::Writer => &mut self.writer,
        };
        match place {
            Some(known) => known.clone_from(waker),
            None => *place = Some(waker.clone()),
        }
    }

    /// A read begins that has not had to wait yet.
    #[inline]
    pub(super) fn reads(&mut self) {
        self.is_reading = false;
    }

    /// Whether a read waits, as far as is known.
    #[inline]
    pub(super) fn is_reading(&self) -> bool {
        self.is_reading
    }

    /// The task that reads, or nobody.
    pub(super) fn reader(&self) -> Waker {
        self.reader.clone().unwrap_or_else(|| Waker::noop().clone())
    }

    /// Whether some task reads, or has read.
    pub(super) fn has_reader(&self) -> bool {
        self.reader.is_some()
    }

    /// What was polled for the reader was for nobody.
    pub(super) fn forget_reader(&mut self) {
        self.reader = None;
        self.reader_sends = false;
        self.both = None;
    }

    /// Polls the write direction of the transport for `side`.
    pub(super) fn poll_write<T>(
        &mut self,
        side: Side,
        cx: &mut Context<'_>,
        mut poll: impl FnMut(&mut Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
        let other_waits = self.is_busy
            && match side {
                Side::Reader => self.writer.is_some(),
                Side::Writer => self.reader_sends,
            };
        let mut result = if other_waits { self.poll_both(side, cx, &mut poll) } else { poll(cx) };
        if result.is_pending() && !other_waits {
            // A task that only waits to read keeps its wake-up, too.
            self.wait(side, cx.waker());
            if side == Side::Writer && self.is_two() {
                result = self.poll_both(side, cx, &mut poll);
            }
        }
        if result.is_pending() {
            self.is_busy = true;
            self.reader_sends |= side == Side::Reader;
        } else if self.is_busy {
            self.went_on(side);
        }
        result
    }

    /// The transport was ready for this side, and somebody has waited for it.
    #[cold]
    fn went_on(&mut self, side: Side) {
        match side {
            Side::Reader => {
                self.reader_sends = false;
                self.wake_writer();
            }
            Side::Writer => {
                self.writer = None;
                if std::mem::take(&mut self.reader_sends) {
                    self.wake_reader();
                }
            }
        }
        self.both = None;
        self.is_busy = false;
    }

    /// The waker of both, for what either side may wait for, if the other waits as well.
    #[inline]
    pub(super) fn of_both(&mut self, side: Side, own: &Waker) -> Option<Waker> {
        let other_waits = match side {
            Side::Reader => self.writer.is_some(),
            Side::Writer => self.reader.is_some(),
        };
        if !other_waits {
            return None;
        }
        self.wait(side, own);
        self.both()
    }

    /// Polls with a waker for both tasks.
    #[inline(never)]
    fn poll_both<T>(
        &mut self,
        side: Side,
        cx: &mut Context<'_>,
        poll: &mut impl FnMut(&mut Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
        self.wait(side, cx.waker());
        match self.both() {
            Some(both) => poll(&mut Context::from_waker(&both)),
            None => poll(cx),
        }
    }

    /// Wakes the task that waits to write, if there is one.
    #[inline]
    pub(super) fn wake_writer(&mut self) {
        if let Some(writer) = self.writer.take() {
            writer.wake();
            self.both = None;
        }
    }

    /// Wakes the task that waits to read, if there is one.
    pub(super) fn wake_reader(&self) {
        if let Some(reader) = &self.reader {
            reader.wake_by_ref();
        }
    }

    fn is_two(&self) -> bool {
        match (&self.reader, &self.writer) {
            (Some(reader), Some(writer)) => !reader.will_wake(writer),
            _ => false,
        }
    }

    /// A waker for both tasks, if there are two.
    fn both(&mut self) -> Option<Waker> {
        if !self.is_two() {
            return None;
        }
        let (reader, writer) = (self.reader.as_ref()?, self.writer.as_ref()?);
        let both = match &self.both {
            Some(both) if both.reader.will_wake(reader) && both.writer.will_wake(writer) => both,
            _ => {
                self.both.insert(Arc::new(Both { reader: reader.clone(), writer: writer.clone() }))
            }
        };
        Some(Arc::clone(both).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn task() -> (Arc<Count>, Waker) {
        let count = Arc::new(Count::default());
        (Arc::clone(&count), count.into())
    }

    /// A transport that is never ready; returns the waker that it was left with.
    fn pending(wakers: &mut Wakers, side: Side, waker: &Waker) -> Waker {
        let mut last = None;
        let result: Poll<()> = wakers.poll_write(side, &mut Context::from_waker(waker), |cx| {
            last = Some(cx.waker().clone());
            Poll::Pending
        });
        assert!(result.is_pending());
        last.unwrap()
    }

    #[test]
    fn a_task_alone_costs_no_allocation() {
        let (_, waker) = task();
        let mut wakers = Wakers::default();
        wakers.wait_to_read(&waker);
        assert!(pending(&mut wakers, Side::Writer, &waker).will_wake(&waker));
        assert!(wakers.both.is_none());
    }

    #[test]
    fn the_transport_wakes_both_tasks_whoever_polled_last() {
        for last in [Side::Reader, Side::Writer] {
            let ((reads, reader), (writes, writer)) = (task(), task());
            let mut wakers = Wakers::default();
            wakers.wait_to_read(&reader);
            pending(&mut wakers, Side::Writer, &writer);
            let left = match last {
                Side::Reader => pending(&mut wakers, Side::Reader, &reader),
                Side::Writer => pending(&mut wakers, Side::Writer, &writer),
            };
            left.wake();
            assert_eq!(reads.0.load(Ordering::Relaxed), 1);
            assert_eq!(writes.0.load(Ordering::Relaxed), 1);
        }
    }

    #[test]
    fn a_task_that_moved_is_woken_where_it_is_now() {
        let ((before, old), (after, new), (_, writer)) = (task(), task(), task());
        let mut wakers = Wakers::default();
        wakers.wait_to_read(&old);
        pending(&mut wakers, Side::Writer, &writer);
        pending(&mut wakers, Side::Reader, &new).wake();
        assert_eq!(before.0.load(Ordering::Relaxed), 0);
        assert_eq!(after.0.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn progress_of_one_side_wakes_the_other_if_that_waits_to_send() {
        for (waits, goes_on) in [(Side::Reader, Side::Writer), (Side::Writer, Side::Reader)] {
            let ((waiting, one), (_, other)) = (task(), task());
            let mut wakers = Wakers::default();
            pending(&mut wakers, waits, &one);
            let result =
                wakers.poll_write(goes_on, &mut Context::from_waker(&other), |_| Poll::Ready(()));
            assert!(result.is_ready());
            assert_eq!(waiting.0.load(Ordering::Relaxed), 1);
        }
    }

    #[test]
    fn a_reader_that_only_waits_to_read_is_left_alone() {
        let ((reads, reader), (_, writer)) = (task(), task());
        let mut wakers = Wakers::default();
        wakers.wait_to_read(&reader);
        let mut poll = |poll: Poll<()>| {
            let _either =
                wakers.poll_write(Side::Writer, &mut Context::from_waker(&writer), |_| poll);
        };
        poll(Poll::Ready(()));
        poll(Poll::Pending);
        poll(Poll::Ready(()));
        assert_eq!(reads.0.load(Ordering::Relaxed), 0);
        assert!(wakers.both.is_none(), "nobody waits for both");
    }

    #[test]
    fn what_either_may_wait_for_gets_a_waker_for_both() {
        let ((reads, reader), (writes, writer)) = (task(), task());
        let mut wakers = Wakers::default();
        wakers.wait_to_read(&reader);
        assert!(wakers.of_both(Side::Reader, &reader).is_none(), "it is alone");
        pending(&mut wakers, Side::Writer, &writer);
        wakers.of_both(Side::Reader, &reader).unwrap().wake();
        wakers.of_both(Side::Writer, &writer).unwrap().wake();
        assert_eq!(reads.0.load(Ordering::Relaxed), 2);
        assert_eq!(writes.0.load(Ordering::Relaxed), 2);
    }
}

/// Every interleaving of two tasks and the thread that drives the transport.
#[cfg(test)]
mod interleavings {
    use super::*;
    use loom::{
        sync::{Mutex, Notify},
        thread,
    };

    struct Task(Notify);

    impl Wake for Task {
        fn wake(self: Arc<Self>) {
            self.0.notify();
        }
    }

    /// The write direction of a transport. It has a buffer of its own, so that some polls are `Ready`
    /// while the line is busy, and remembers the last waker only, whatever the poll returned. A
    /// `Ready` may leave that waker with the line, as a TLS library does, or none.
    struct Transport {
        ready: bool,
        buffers: bool,
        leaves_waker: bool,
        waker: Option<Waker>,
    }

    type Stream = Mutex<Wakers>;

    fn poll(
        stream: &Stream,
        transport: &Mutex<Transport>,
        side: Side,
        task: &Arc<Task>,
        fits_buffer: bool,
    ) -> Poll<()> {
        let waker = Waker::from(Arc::clone(task));
        let mut wakers = stream.lock().unwrap();
        wakers.poll_write(side, &mut Context::from_waker(&waker), |cx| {
            let mut transport = transport.lock().unwrap();
            if transport.ready {
                return Poll::Ready(());
            }
            let buffered = transport.buffers && fits_buffer;
            let remembers = !buffered || transport.leaves_waker;
            transport.waker = remembers.then(|| cx.waker().clone());
            if buffered { Poll::Ready(()) } else { Poll::Pending }
        })
    }

    /// One side waits until the line is ready, as for a flush; the other polls, and goes away. What it
    /// does may fit into the transport's buffer, as a write does.
    fn who_waits_is_woken(waits: Side, passes: Side, buffers: bool, leaves_waker: bool) {
        loom::model(move || {
            let stream = Arc::new(Stream::default());
            let transport = Arc::new(Mutex::new(Transport {
                ready: false,
                buffers,
                leaves_waker,
                waker: None,
            }));
            let driver = thread::spawn({
                let transport = Arc::clone(&transport);
                move || {
                    let mut transport = transport.lock().unwrap();
                    transport.ready = true;
                    let waker = transport.waker.take();
                    drop(transport);
                    waker.into_iter().for_each(Waker::wake);
                }
            });
            let passing = thread::spawn({
                let (stream, transport) = (Arc::clone(&stream), Arc::clone(&transport));
                move || {
                    let task = Arc::new(Task(Notify::new()));
                    for _ in 0..2 {
                        let _either = poll(&stream, &transport, passes, &task, true);
                    }
                }
            });
            let task = Arc::new(Task(Notify::new()));
            while poll(&stream, &transport, waits, &task, false).is_pending() {
                // A wake-up that was lost is a deadlock here, which is reported.
                task.0.wait();
            }
            driver.join().unwrap();
            passing.join().unwrap();
        });
    }

    #[test]
    fn a_waiting_writer_is_woken_whatever_a_reader_does() {
        who_waits_is_woken(Side::Writer, Side::Reader, false, true);
    }

    #[test]
    fn a_waiting_reader_is_woken_whatever_a_writer_does() {
        who_waits_is_woken(Side::Reader, Side::Writer, false, true);
    }

    #[test]
    fn a_waiting_writer_is_woken_though_the_transport_buffers_for_the_reader() {
        for leaves_waker in [true, false] {
            who_waits_is_woken(Side::Writer, Side::Reader, true, leaves_waker);
        }
    }

    #[test]
    fn a_waiting_reader_is_woken_though_the_transport_buffers_for_the_writer() {
        for leaves_waker in [true, false] {
            who_waits_is_woken(Side::Reader, Side::Writer, true, leaves_waker);
        }
    }
}
