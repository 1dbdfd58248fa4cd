//! What an application does with a stream: reads and writes of all kinds, given up at any point.

use super::{choices::Choices, transport::Transport};
use fastwebsockets_stream::{Error, WebSocketStream};
use std::{
    cell::RefCell,
    future::{Future, poll_fn},
    io::{self, IoSlice},
    pin::{Pin, pin},
    rc::Rc,
    task::{Context, Poll, Waker, ready},
};
use tokio::io::{AsyncBufRead, AsyncRead, AsyncWrite, ReadBuf};

pub(crate) type Stream = WebSocketStream<Transport>;

/// A stream that several tasks use, and what they have seen of it.
#[derive(Clone)]
pub(crate) struct Application {
    pub(crate) choices: Choices,
    pub(crate) stream: Rc<RefCell<Stream>>,
    pub(crate) log: Rc<RefCell<Log>>,
}

#[derive(Default)]
pub(crate) struct Log {
    pub(crate) received: Vec<u8>,
    /// What the reader came to.
    pub(crate) read_end: Option<io::Result<()>>,
    /// Bytes that writes have reported as written.
    pub(crate) accepted: Vec<u8>,
    /// How many of them a flush or shutdown has reported as sent.
    pub(crate) flushed: usize,
    /// Why writing was not possible any more.
    pub(crate) write_error: Option<io::Error>,
    /// Whether the stream was closed with [`CLOSE_CODE`], which takes over from the reader and
    /// drops what was not read.
    pub(crate) closing: bool,
    /// The task that reads.
    reader: Option<Waker>,
    /// How the end of the writing went.
    pub(crate) write_end: Option<io::Result<()>>,
}

/// What the application's own `close` says.
pub(crate) const CLOSE_CODE: u16 = 4000;

impl Application {
    pub(crate) fn new(choices: &Choices, stream: Stream) -> Self {
        Self { choices: choices.clone(), stream: Rc::new(RefCell::new(stream)), log: Rc::default() }
    }

    /// Polls until it is done, or until it is given up while it waits: `None`.
    async fn attempt<T>(
        &self,
        mut poll: impl FnMut(&mut Context<'_>, Pin<&mut Stream>) -> Poll<T>,
    ) -> Option<T> {
        poll_fn(|cx| {
            let mut stream = self.stream.borrow_mut();
            match poll(cx, Pin::new(&mut *stream)) {
                Poll::Ready(done) => Poll::Ready(Some(done)),
                Poll::Pending if self.choices.one_in(6) => Poll::Ready(None),
                Poll::Pending => Poll::Pending,
            }
        })
        .await
    }

    /// Reads to the end, and a little further; or until the stream is closed.
    pub(crate) async fn read(self) {
        poll_fn(|cx| {
            self.log.borrow_mut().reader = Some(cx.waker().clone());
            Poll::Ready(())
        })
        .await;
        let end = loop {
            if self.log.borrow().closing {
                return;
            }
            let read = if self.choices.one_in(5) {
                self.read_buffered().await
            } else {
                self.read_into(self.choices.pick(&[4096, 1, 2, 20, 31, 32, 33, 100, 40_000])).await
            };
            match read {
                None => {}
                Some(Ok(0)) => break Ok(()),
                Some(Ok(_)) => {}
                Some(Err(error)) => break Err(error),
            }
        };
        for _ in 0..3 {
            let again = loop {
                if self.log.borrow().closing {
                    break end.as_ref().map(|()| 0).map_err(|error| error.kind().into());
                }
                if let Some(again) = self.read_into(1 + self.choices.below(50)).await {
                    break again;
                }
            };
            match (&end, again) {
                (Ok(()), Ok(0)) => {}
                (Err(first), Err(again)) if first.kind() == again.kind() => {}
                (end, again) => panic!("the end was {end:?}, and then {again:?}"),
            }
        }
        self.log.borrow_mut().read_end = Some(end);
    }

    async fn attempt_to_read<T>(
        &self,
        mut poll: impl FnMut(&mut Context<'_>, Pin<&mut Stream>) -> Poll<T>,
    ) -> Option<T> {
        let attempt = self.attempt(|cx, stream| {
            let closing = self.log.borrow().closing;
            if closing { Poll::Ready(None) } else { poll(cx, stream).map(Some) }
        });
        attempt.await.flatten()
    }

    async fn read_into(&self, space: usize) -> Option<io::Result<usize>> {
        let mut memory = vec![0xee; space];
        let mut buf = ReadBuf::new(&mut memory);
        let read = self.attempt_to_read(|cx, stream| stream.poll_read(cx, &mut buf)).await;
        self.log.borrow_mut().received.extend(buf.filled());
        read.map(|read| read.map(|()| buf.filled().len()))
    }

    async fn read_buffered(&self) -> Option<io::Result<usize>> {
        self.attempt_to_read(|cx, mut stream| {
            let bytes = ready!(stream.as_mut().poll_fill_buf(cx))?;
            let len = if bytes.is_empty() { 0 } else { 1 + self.choices.below(bytes.len()) };
            self.log.borrow_mut().received.extend(&bytes[..len]);
            stream.consume(len);
            Poll::Ready(Ok(len))
        })
        .await
    }

    /// Writes `bytes`, as far as that is possible, and ends the stream or leaves it open.
    pub(crate) async fn write(self, bytes: &'static [u8], end: WriteEnd) {
        let text = std::str::from_utf8(bytes).ok();
        let mut written = 0;
        while written < bytes.len() {
            let len = self.choices.size().max(1).min(bytes.len() - written);
            match self.write_one(&bytes[written..written + len]).await {
                None => {}
                Some(Ok(n)) => {
                    assert!(n > 0 && n <= len, "{n} of {len} bytes");
                    self.log.borrow_mut().accepted.extend(&bytes[written..written + n]);
                    written += n;
                }
                Some(Err(error)) => {
                    self.log.borrow_mut().write_error = Some(error);
                    break;
                }
            }
            match self.choices.below(8) {
                6 => self.flush().await,
                7 if text.is_some_and(|text| text.is_char_boundary(written)) => {
                    self.write_what_is_no_text().await;
                }
                _ => {}
            }
        }
        let accepted = self.log.borrow().accepted.len();
        let ended = match end {
            WriteEnd::Open => {
                self.flush().await;
                return;
            }
            WriteEnd::Shutdown => loop {
                if let Some(end) = self.attempt(|cx, stream| stream.poll_shutdown(cx)).await {
                    break end;
                }
            },
            WriteEnd::Close => {
                self.log.borrow_mut().closing = true;
                self.log.borrow_mut().reader.take().into_iter().for_each(Waker::wake);
                loop {
                    if let Some(end) = self.close().await {
                        break end;
                    }
                }
            }
        };
        let mut log = self.log.borrow_mut();
        if ended.is_ok() && log.write_error.is_none() {
            log.flushed = accepted;
        }
        log.write_end = Some(ended);
    }

    async fn write_one(&self, bytes: &[u8]) -> Option<io::Result<usize>> {
        if self.choices.one_in(3) {
            let (a, rest) = bytes.split_at(self.choices.below(bytes.len()));
            let (b, c) = rest.split_at(self.choices.below(rest.len()));
            let slices = [a, b, &[], c].map(IoSlice::new);
            return self.attempt(|cx, stream| stream.poll_write_vectored(cx, &slices)).await;
        }
        self.attempt(|cx, stream| stream.poll_write(cx, bytes)).await
    }

    async fn flush(&self) {
        let accepted = self.log.borrow().accepted.len();
        let flushed = self.attempt(|cx, stream| stream.poll_flush(cx)).await;
        let mut log = self.log.borrow_mut();
        if matches!(flushed, Some(Ok(()))) && log.write_error.is_none() {
            log.flushed = accepted;
        }
    }

    /// A text stream refuses what isn't text, and goes on as if nothing had happened.
    async fn write_what_is_no_text(&self) {
        if self.stream.borrow().payload_type() != fastwebsockets_stream::PayloadType::Text {
            return;
        }
        let bad: &[u8] = self.choices.pick(&[b"\xff", b"ok\x80", b"\xe2\x82A", b"\xc0\xaf"]);
        match self.attempt(|cx, stream| stream.poll_write(cx, bad)).await {
            None => {}
            // As far as a frame goes, it may have been text.
            Some(Ok(n)) => self.log.borrow_mut().accepted.extend(&bad[..n]),
            Some(Err(error)) => {
                let cause = error.get_ref().and_then(|cause| cause.downcast_ref());
                assert!(matches!(cause, None | Some(Error::NotUtf8 | Error::Closed)), "{error:?}");
            }
        }
    }

    async fn close(&self) -> Option<io::Result<()>> {
        // The future holds nothing, so it may be a new one for each poll.
        self.attempt(|cx, mut stream| {
            let close = stream.close(CLOSE_CODE, "enough");
            pin!(close).poll(cx)
        })
        .await
    }
}

/// How a writer ends.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum WriteEnd {
    Shutdown,
    Close,
    Open,
}
