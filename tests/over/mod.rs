//! The transports that the engine's tests run over, and the test's hand at their other end.
#![allow(dead_code, reason = "each test binary uses its own part")]

mod hostile;
mod http2;
mod tasks;
mod tls;

use crate::common::{
    self,
    frames::{self, Frame},
    transports::{OneByteAtATime, Peer, Wire},
};
use fastwebsockets_stream::{Config, WebSocketStream, fastwebsockets::Role};
use hostile::Hostile;
use std::{
    cell::RefCell,
    collections::VecDeque,
    future::{Future, poll_fn},
    pin::{Pin, pin},
    rc::Rc,
    task::{Context, Poll, Waker},
};
use tasks::{Step, run_others, without_budget};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, BufWriter, ReadBuf, duplex};
use tokio_test::task::Spawn;

/// What a stream runs over.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Over {
    Pipe,
    BufWriter,
    Rustls12,
    Rustls13,
    #[cfg(feature = "openssl")]
    OpenSsl,
    Http2,
    OneByte,
    Hostile,
}

/// Makes a test over each transport of a function that takes [`Over`]: `name::over_http2` and so on.
#[macro_export]
macro_rules! over_all {
    ($name:ident) => {
        $crate::over_all!($name:
            over_a_pipe Pipe,
            over_a_buf_writer BufWriter,
            over_rustls_with_tls_1_2 Rustls12,
            over_rustls_with_tls_1_3 Rustls13,
            #[cfg(feature = "openssl")]
            over_openssl OpenSsl,
            over_http2 Http2,
            over_one_byte_at_a_time OneByte,
            over_a_hostile_transport Hostile);
    };
    ($name:ident: $($(#[$when:meta])? $test:ident $over:ident),*) => {
        mod $name {
            $($(#[$when])?
            #[tokio::test]
            async fn $test() {
                super::$name($crate::over::Over::$over).await;
            })*
        }
    };
}

pub(crate) trait Transport: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Transport for T {}

pub(crate) type Boxed = Box<dyn Transport>;

pub(crate) type Stream = WebSocketStream<Boxed>;

impl Over {
    /// Whether what it has taken may wait in it for a flush.
    fn waits_for_a_flush(self) -> bool {
        matches!(self, Over::BufWriter | Over::Http2 | Over::Hostile)
    }

    /// Ends the stream again, where the last poll may have left something to do.
    pub(crate) async fn shut_down(self, stream: &mut (impl AsyncWrite + Unpin)) {
        if self.waits_for_a_flush() {
            in_time(stream.shutdown()).await.unwrap();
        }
    }

    /// Flushes, where the peer may not have everything otherwise. Where it must have, it doesn't.
    pub(crate) async fn flush(self, stream: &mut (impl AsyncWrite + Unpin)) {
        if self.waits_for_a_flush() {
            in_time(stream.flush()).await.unwrap();
        }
    }

    /// Both ends of a connection over two ends of a line.
    fn connect(self, client: Boxed, server: Boxed) -> (Boxed, Boxed) {
        match self {
            Over::Rustls12 => tls::rustls(tls::Version::Tls12, client, server),
            Over::Rustls13 => tls::rustls(tls::Version::Tls13, client, server),
            #[cfg(feature = "openssl")]
            Over::OpenSsl => tls::openssl::connect(client, server),
            Over::Http2 => http2::connect(client, server),
            _ => (self.wrap(client), self.wrap(server)),
        }
    }

    fn wrap(self, io: Boxed) -> Boxed {
        match self {
            Over::BufWriter => Box::new(BufWriter::new(io)),
            Over::OneByte => Box::new(OneByteAtATime(io)),
            Over::Hostile => Box::new(Hostile::new(io)),
            _ => io,
        }
    }

    /// Whether the other end of the line needs to be the same.
    fn is_a_protocol(self) -> bool {
        match self {
            Over::Rustls12 | Over::Rustls13 | Over::Http2 => true,
            #[cfg(feature = "openssl")]
            Over::OpenSsl => true,
            _ => false,
        }
    }
}

/// A stream over `over`, whose other end is in the test's hand.
pub(crate) fn stream_over(over: Over, role: Role, config: impl Into<Config>) -> (Stream, OverPeer) {
    let (near, peer) = transport_over(over, role);
    (WebSocketStream::after_handshake(near, role, config), peer)
}

/// The transport of such a stream alone.
pub(crate) fn transport_over(over: Over, role: Role) -> (Boxed, OverPeer) {
    let (wire, line) = Wire::new();
    let (near, far): (Boxed, Boxed) = (Box::new(wire), Box::new(line.far_end()));
    let (near, far) = match role {
        _ if !over.is_a_protocol() => (over.wrap(near), far),
        Role::Client => over.connect(near, far),
        Role::Server => {
            let (far, near) = over.connect(far, near);
            (near, far)
        }
    };
    (near, OverPeer::new(far, line))
}

/// A client's and a server's stream, joined over `over` by a line that holds this many bytes.
pub(crate) fn joined_over(over: Over, holds: usize, config: impl Into<Config>) -> (Stream, Stream) {
    let (client, server) = duplex(holds);
    let (client, server) = over.connect(Box::new(client), Box::new(server));
    let config = config.into();
    (
        WebSocketStream::after_handshake(client, Role::Client, config),
        WebSocketStream::after_handshake(server, Role::Server, config),
    )
}

/// Nothing in a test may take longer than this. What the transports do beside is done meanwhile.
pub(crate) async fn in_time<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    common::in_time(poll_fn(|cx| {
        tasks::wake_when_woken(cx.waker());
        run_others();
        let result = future.as_mut().poll(cx);
        run_others();
        result
    }))
    .await
}

/// Polls as often as the task is woken for it. `Pending` waits for something that the test has to do.
pub(crate) fn settle<T, R>(
    task: &mut Spawn<T>,
    mut poll: impl FnMut(&mut Context<'_>) -> Poll<R>,
) -> Poll<R> {
    for _ in 0..1_000_000 {
        run_others();
        let result = without_budget(|| task.enter(|cx, _| poll(cx)));
        run_others();
        if result.is_ready() || !task.is_woken() {
            return result;
        }
    }
    panic!("it is woken for nothing again and again");
}

/// The same for a future.
pub(crate) fn settle_future<F: Future>(task: &mut Spawn<F>) -> Poll<F::Output> {
    for _ in 0..1_000_000 {
        run_others();
        let result = without_budget(|| task.poll());
        run_others();
        if result.is_ready() || !task.is_woken() {
            return result;
        }
    }
    panic!("it is woken for nothing again and again");
}

/// Polls a future once, and drops it.
pub(crate) fn once<F: Future>(future: F) -> Option<F::Output> {
    run_others();
    let mut task = tokio_test::task::spawn(future);
    let result = without_budget(|| task.poll());
    drop(task);
    run_others();
    match result {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    }
}

/// The test's hand at the other end of a transport.
pub(crate) struct OverPeer {
    hand: Rc<RefCell<Hand>>,
    line: Peer,
}

/// What it is to send and has received.
struct Hand {
    io: Boxed,
    unsent: VecDeque<u8>,
    unflushed: bool,
    ending: bool,
    ended: bool,
    received: Vec<u8>,
    /// How the other direction ended, if it did: well or not.
    end: Option<bool>,
}

impl OverPeer {
    fn new(io: Boxed, line: Peer) -> Self {
        let hand = Rc::new(RefCell::new(Hand {
            io,
            unsent: VecDeque::new(),
            unflushed: false,
            ending: false,
            ended: false,
            received: Vec::new(),
            end: None,
        }));
        let step: Rc<RefCell<dyn Step>> = hand.clone();
        tasks::step_with(&step);
        Self { hand, line }
    }

    fn change<T>(&self, change: impl FnOnce(&mut Hand) -> T) -> T {
        run_others();
        let result = change(&mut self.hand.borrow_mut());
        run_others();
        result
    }

    pub(crate) fn send(&self, bytes: &[u8]) {
        self.change(|hand| hand.unsent.extend(bytes));
    }

    /// Ends the transport without a Close, as well as it can be ended.
    pub(crate) fn end(&self) {
        self.change(|hand| hand.ending = true);
    }

    /// All bytes so far, taken out.
    pub(crate) fn received(&self) -> Vec<u8> {
        self.change(|hand| std::mem::take(&mut hand.received))
    }

    /// The frames so far, taken out.
    pub(crate) fn frames(&self) -> Vec<Frame> {
        frames::parse(&self.received())
    }

    /// Bytes that the stream has not read yet, as far as the line tells.
    pub(crate) fn unread(&self) -> usize {
        self.change(|hand| hand.unsent.len()) + self.line.unread()
    }

    /// Whether the stream has ended its direction of the transport.
    pub(crate) fn is_shut_down(&self) -> bool {
        self.change(|hand| hand.end == Some(true))
    }

    /// The line beneath takes this many bytes from the stream's end and no more, for now.
    pub(crate) fn take_only(&self, room: usize) {
        run_others();
        self.line.take_only(room);
    }

    pub(crate) fn take_all(&self) {
        self.line.take_all();
        run_others();
    }
}

impl Step for Hand {
    fn step(&mut self) -> bool {
        let sent = self.send();
        let received = self.receive();
        sent || received
    }
}

impl Hand {
    fn send(&mut self) -> bool {
        let mut cx = Context::from_waker(Waker::noop());
        let mut moved = false;
        while !self.unsent.is_empty() {
            match Pin::new(&mut self.io).poll_write(&mut cx, self.unsent.make_contiguous()) {
                Poll::Ready(Ok(n)) => drop(self.unsent.drain(..n)),
                // The stream has ended the transport: nobody reads it.
                Poll::Ready(Err(_)) => self.unsent.clear(),
                Poll::Pending => break,
            }
            (moved, self.unflushed) = (true, true);
        }
        if self.unflushed {
            self.unflushed = Pin::new(&mut self.io).poll_flush(&mut cx).is_pending();
        }
        if self.ending && !self.ended && self.unsent.is_empty() {
            self.ended = Pin::new(&mut self.io).poll_shutdown(&mut cx).is_ready();
            moved |= self.ended;
        }
        moved
    }

    fn receive(&mut self) -> bool {
        let mut cx = Context::from_waker(Waker::noop());
        let mut memory = [0; 16 * 1024];
        let mut moved = false;
        while self.end.is_none() {
            let mut buf = ReadBuf::new(&mut memory);
            match Pin::new(&mut self.io).poll_read(&mut cx, &mut buf) {
                Poll::Ready(Ok(())) if buf.filled().is_empty() => self.end = Some(true),
                Poll::Ready(Ok(())) => self.received.extend(buf.filled()),
                Poll::Ready(Err(_)) => self.end = Some(false),
                Poll::Pending => break,
            }
            moved = true;
        }
        moved
    }
}
