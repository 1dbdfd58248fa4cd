//! Who is woken when the transport takes bytes again.
//!
//! A transport remembers one waker for its write direction: the last one that polled it. Here two
//! tasks poll it, because reading sends pongs, Closes and what an earlier write left behind. So a
//! poll that is `Pending` leaves a waker that wakes both, made only if there are two tasks.

use std::{
    sync::Arc,
    task::{Context, Poll, Wake, Waker},
};

/// On whose behalf the write direction of the transport is polled.
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
    reader: Option<Waker>,
    writer: Option<Waker>,
    /// What the transport was given last, kept while it is of use.
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
    /// Remembers that this side waits.
    pub(super) fn wait(&mut self, side: Side, waker: &Waker) {
        let place = match side {
            Side::Reader => &mut self.reader,
            Side::Writer => &mut self.writer,
        };
        match place {
            Some(known) => known.clone_from(waker),
            None => *place = Some(waker.clone()),
        }
    }

    /// The task that reads, or nobody.
    pub(super) fn reader(&self) -> Waker {
        self.reader.clone().unwrap_or_else(|| Waker::noop().clone())
    }

    /// Polls the write direction of the transport for `side`.
    ///
    /// `poll` is called with the task's own waker first. If it has to wait and there is another
    /// task that has to be woken as well, it is called again with a waker for both.
    pub(super) fn poll<T>(
        &mut self,
        side: Side,
        cx: &mut Context<'_>,
        mut poll: impl FnMut(&mut Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
        let mut result = poll(cx);
        if result.is_pending() {
            self.wait(side, cx.waker());
            if let Some(both) = self.both() {
                result = poll(&mut Context::from_waker(&both));
                // Ready only now: the wake-up went to this task alone.
                if result.is_ready() && side == Side::Writer {
                    self.wake_reader();
                }
            }
        }
        // The transport owes the writer no wake-up for what the reader has achieved in its place.
        if result.is_ready() && side == Side::Reader {
            self.wake_writer();
        }
        result
    }

    /// Wakes the task that waits to write, if there is one.
    #[inline]
    pub(super) fn wake_writer(&mut self) {
        if let Some(writer) = self.writer.take() {
            writer.wake();
        }
    }

    fn wake_reader(&self) {
        if let Some(reader) = &self.reader {
            reader.wake_by_ref();
        }
    }

    /// Nothing waits for the transport any more: what was allocated for it goes.
    #[inline]
    pub(super) fn release(&mut self) {
        self.both = None;
    }

    /// A waker for both tasks, if there are two.
    fn both(&mut self) -> Option<Waker> {
        let (reader, writer) = (self.reader.as_ref()?, self.writer.as_ref()?);
        if reader.will_wake(writer) {
            return None;
        }
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
        let result: Poll<()> = wakers.poll(side, &mut Context::from_waker(waker), |cx| {
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
        wakers.wait(Side::Reader, &waker);
        assert!(pending(&mut wakers, Side::Writer, &waker).will_wake(&waker));
        assert!(wakers.both.is_none());
    }

    #[test]
    fn the_transport_wakes_both_tasks_whoever_polled_last() {
        for last in [Side::Reader, Side::Writer] {
            let ((reads, reader), (writes, writer)) = (task(), task());
            let mut wakers = Wakers::default();
            wakers.wait(Side::Reader, &reader);
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
        wakers.wait(Side::Reader, &old);
        pending(&mut wakers, Side::Writer, &writer);
        pending(&mut wakers, Side::Reader, &new).wake();
        assert_eq!(before.0.load(Ordering::Relaxed), 0);
        assert_eq!(after.0.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn a_reader_is_woken_if_the_transport_gets_ready_between_the_two_polls() {
        let ((reads, reader), (_, writer)) = (task(), task());
        let mut wakers = Wakers::default();
        pending(&mut wakers, Side::Reader, &reader);
        let mut polls = 0;
        let result = wakers.poll(Side::Writer, &mut Context::from_waker(&writer), |_| {
            polls += 1;
            if polls == 1 { Poll::Pending } else { Poll::Ready(()) }
        });
        assert!(result.is_ready());
        assert_eq!(reads.0.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn a_reader_that_makes_progress_wakes_the_waiting_writer() {
        let ((_, reader), (writes, writer)) = (task(), task());
        let mut wakers = Wakers::default();
        pending(&mut wakers, Side::Writer, &writer);
        let result =
            wakers.poll(Side::Reader, &mut Context::from_waker(&reader), |_| Poll::Ready(()));
        assert!(result.is_ready());
        assert_eq!(writes.0.load(Ordering::Relaxed), 1);
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

    /// The write direction of a transport, which remembers the last waker only.
    #[derive(Default)]
    struct Transport {
        ready: bool,
        waker: Option<Waker>,
    }

    type Stream = Mutex<Wakers>;

    fn poll(
        stream: &Stream,
        transport: &Mutex<Transport>,
        side: Side,
        task: &Arc<Task>,
    ) -> Poll<()> {
        let waker = Waker::from(Arc::clone(task));
        let mut wakers = stream.lock().unwrap();
        wakers.poll(side, &mut Context::from_waker(&waker), |cx| {
            let mut transport = transport.lock().unwrap();
            if transport.ready {
                return Poll::Ready(());
            }
            transport.waker = Some(cx.waker().clone());
            Poll::Pending
        })
    }

    /// One side waits until the transport is ready; the other polls, and goes away.
    fn who_waits_is_woken(waits: Side, passes: Side) {
        loom::model(move || {
            let stream = Arc::new(Stream::default());
            let transport = Arc::new(Mutex::new(Transport::default()));
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
                        let _either = poll(&stream, &transport, passes, &task);
                    }
                }
            });
            let task = Arc::new(Task(Notify::new()));
            while poll(&stream, &transport, waits, &task).is_pending() {
                // A wake-up that was lost is a deadlock here, which is reported.
                task.0.wait();
            }
            driver.join().unwrap();
            passing.join().unwrap();
        });
    }

    #[test]
    fn a_waiting_writer_is_woken_whatever_a_reader_does() {
        who_waits_is_woken(Side::Writer, Side::Reader);
    }

    #[test]
    fn a_waiting_reader_is_woken_whatever_a_writer_does() {
        who_waits_is_woken(Side::Reader, Side::Writer);
    }
}
