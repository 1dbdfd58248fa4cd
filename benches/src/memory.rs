//! A transport in memory: always ready, and one copy is all that it costs.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Written bytes are copied to this many, over and over. They stay in the second cache.
const SINK: usize = 256 << 10;

/// Gives the same bytes over and over, and takes everything.
pub struct Memory {
    source: Arc<[u8]>,
    at: usize,
    /// The most bytes that one read gives.
    piece: usize,
    /// Gives the source once, and then has nothing more.
    once: bool,
    sink: Box<[u8]>,
    sink_at: usize,
    written: Written,
}

/// What was written to a [`Memory`].
#[derive(Clone, Default)]
pub struct Written {
    count: Arc<AtomicU64>,
    /// The bytes themselves, if somebody wants to look at them.
    record: Option<Arc<Mutex<Vec<u8>>>>,
}

impl Written {
    pub fn recorded() -> Self {
        Self { record: Some(Arc::default()), ..Self::default() }
    }

    /// How many bytes.
    pub fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }

    pub fn bytes(&self) -> Vec<u8> {
        let record = self.record.as_ref().expect("it is recorded");
        record.lock().expect("nobody panics with it").clone()
    }
}

impl Memory {
    /// A source that gives these bytes over and over.
    pub fn source(source: Arc<[u8]>, piece: usize) -> Self {
        // Not zeros, which the system would give only when they are touched: in the time measured.
        let sink = vec![1; SINK].into();
        Self { source, at: 0, piece, once: false, sink, sink_at: 0, written: Written::default() }
    }

    /// A source that gives these bytes, and then is silent.
    pub fn once(source: Vec<u8>) -> Self {
        Self { once: true, ..Self::source(source.into(), usize::MAX) }
    }

    /// A sink whose other end says nothing: who writes for long looks at that.
    pub fn sink(written: Written) -> Self {
        Self { written, once: true, ..Self::source(Arc::new([]), 0) }
    }

    fn copy(&mut self, mut bytes: &[u8]) {
        // One writer, so that nothing is lost between the two.
        let count = self.written.count() + bytes.len() as u64;
        self.written.count.store(count, Ordering::Relaxed);
        if let Some(record) = &self.written.record {
            record.lock().expect("nobody panics with it").extend(bytes);
        }
        while !bytes.is_empty() {
            let room = &mut self.sink[self.sink_at..];
            let len = room.len().min(bytes.len());
            room[..len].copy_from_slice(&bytes[..len]);
            self.sink_at = (self.sink_at + len) & (SINK - 1);
            bytes = &bytes[len..];
        }
    }
}

impl AsyncRead for Memory {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let mut rest = buf.remaining().min(this.piece);
        while rest > 0 {
            let ready = &this.source[this.at..];
            let len = ready.len().min(rest);
            if len == 0 {
                break;
            }
            buf.put_slice(&ready[..len]);
            rest -= len;
            this.at += len;
            if this.at == this.source.len() && !this.once {
                this.at = 0;
            }
        }
        if this.once && buf.filled().is_empty() {
            return Poll::Pending;
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Memory {
    fn poll_write(
        mut self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.copy(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        slices.iter().for_each(|slice| self.copy(slice));
        Poll::Ready(Ok(slices.iter().map(|slice| slice.len()).sum()))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
