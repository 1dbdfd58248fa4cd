//! Two tasks that share a stream, polled by hand: each only when it was woken.

use crate::{Stream, peer::Peer};
use std::{future::Future, io, pin::Pin};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, split},
    sync::mpsc,
};
use tokio_test::task::{Spawn, spawn};

type Task<T> = Spawn<Pin<Box<dyn Future<Output = T>>>>;

/// What the writer does next.
#[derive(Debug)]
enum Work {
    Write(Vec<u8>),
    Flush,
    Shutdown,
}

/// A stream, the tasks of its two halves, and its peer, all driven by hand.
pub(crate) struct Tasks {
    /// Reads until the end, and returns what came.
    pub(crate) reader: Task<io::Result<Vec<u8>>>,
    /// Writes what it is given.
    writer: Task<()>,
    /// `None` ends the writer.
    to_write: Option<mpsc::UnboundedSender<Work>>,
    pub(crate) writer_ended: bool,
    pub(crate) peer: Peer,
    /// The peer's task.
    peers: Spawn<()>,
}

impl Tasks {
    pub(crate) fn new(stream: Stream, peer: Peer) -> Self {
        let (mut reads, mut writes) = split(stream);
        let (to_write, mut given) = mpsc::unbounded_channel();
        let reading = async move {
            let mut read = Vec::new();
            reads.read_to_end(&mut read).await.map(|_| read)
        };
        let writing = async move {
            while let Some(work) = given.recv().await {
                match work {
                    Work::Write(bytes) => writes.write_all(&bytes).await.unwrap(),
                    Work::Flush => writes.flush().await.unwrap(),
                    Work::Shutdown => writes.shutdown().await.unwrap(),
                }
            }
        };
        let mut tasks = Self {
            reader: spawn(Box::pin(reading)),
            writer: spawn(Box::pin(writing)),
            to_write: Some(to_write),
            writer_ended: false,
            peer,
            peers: spawn(()),
        };
        // Both wait from the start.
        tasks.poll_reader();
        tasks.poll_writer();
        tasks
    }

    /// Lets the writer write this after what it has to write already.
    pub(crate) fn write(&mut self, bytes: Vec<u8>) {
        self.give_writer(Work::Write(bytes));
    }

    pub(crate) fn flush(&mut self) {
        self.give_writer(Work::Flush);
    }

    pub(crate) fn shut_down(&mut self) {
        self.give_writer(Work::Shutdown);
    }

    fn give_writer(&mut self, work: Work) {
        self.to_write.as_ref().unwrap().send(work).unwrap();
        self.run_writer();
    }

    /// It does nothing more, though it may be woken: it waits for something else.
    pub(crate) fn end_writer(&mut self) {
        self.to_write = None;
        self.run_writer();
    }

    /// The peer sends; the reader isn't polled yet.
    pub(crate) fn peer_sends(&mut self, opcode: u8, payload: &[u8]) {
        let sent = spawn(self.peer.send(opcode, payload)).poll();
        assert!(sent.is_ready(), "the line to us is free");
    }

    fn poll_reader(&mut self) {
        assert!(self.reader.poll().is_pending(), "the reader's end");
    }

    fn poll_writer(&mut self) {
        if !self.writer_ended {
            self.writer_ended = self.writer.poll().is_ready();
        }
    }

    /// Polls the reader if it was woken, and tells whether it was.
    pub(crate) fn run_reader(&mut self) -> bool {
        let woken = self.reader.is_woken();
        if woken {
            self.poll_reader();
        }
        woken
    }

    /// The same for the writer.
    pub(crate) fn run_writer(&mut self) -> bool {
        let woken = self.writer.is_woken() && !self.writer_ended;
        if woken {
            self.poll_writer();
        }
        woken
    }

    /// The peer reads what is there; tells whether there was something.
    pub(crate) fn peer_reads(&mut self) -> bool {
        let peer = &mut self.peer;
        self.peers.enter(|cx, _| peer.poll_all(cx)) > 0
    }

    /// The peer reads this much, if it is there.
    pub(crate) fn peer_reads_some(&mut self, most: usize) {
        let _some = spawn(self.peer.read_some(most)).poll();
    }

    /// Runs whoever was woken, and the peer, until nobody is woken and nothing is on the line.
    pub(crate) fn run(&mut self) {
        for _ in 0..100_000 {
            let moves = [self.peer_reads(), self.run_reader(), self.run_writer()];
            if moves == [false; 3] {
                return;
            }
        }
        panic!("it never comes to rest");
    }
}
