//! The other end: raw frames over the same library.

use crate::{
    common::frames::{self, BINARY, Frame},
    libraries::Transport,
};
use fastwebsockets_stream::fastwebsockets::Role;
use std::{
    pin::Pin,
    task::{Context, Poll},
};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt, ReadBuf};

/// Bytes of one read.
const PIECE: usize = 16 * 1024;

/// The peer of a stream of `role`.
pub(crate) struct Peer {
    pub(crate) io: Transport,
    role: Role,
    /// The start of a frame.
    rest: Vec<u8>,
    /// All frames so far.
    pub(crate) frames: Vec<Frame>,
}

impl Peer {
    pub(crate) fn new(io: Transport, role: Role) -> Self {
        Self { io, role, rest: Vec::new(), frames: Vec::new() }
    }

    pub(crate) async fn send(&mut self, opcode: u8, payload: &[u8]) {
        self.io.write_all(&frames::to(self.role, opcode, payload)).await.unwrap();
        self.io.flush().await.unwrap();
    }

    /// The payload so far.
    pub(crate) fn payload(&self) -> Vec<u8> {
        frames::payload(&self.frames)
    }

    /// Bytes of payload so far, in whole frames.
    pub(crate) fn payload_len(&self) -> usize {
        let data = self.frames.iter().filter(|frame| frame.opcode == BINARY);
        data.map(|frame| frame.payload.len()).sum()
    }

    /// The payloads of all frames with this opcode.
    pub(crate) fn all(&self, opcode: u8) -> Vec<&[u8]> {
        let frames = self.frames.iter().filter(|frame| frame.opcode == opcode);
        frames.map(|frame| &frame.payload[..]).collect()
    }

    /// Reads until this much payload has come, and no more.
    pub(crate) async fn read_payload(&mut self, bytes: usize) {
        while self.payload_len() < bytes {
            assert_ne!(self.read_some(PIECE).await, 0, "the end, before all has come");
        }
        assert_eq!(self.payload_len(), bytes);
    }

    /// Reads until a frame with this opcode has come.
    pub(crate) async fn read_to(&mut self, opcode: u8) {
        self.read_until(|frames| frames.iter().any(|frame| frame.opcode == opcode)).await;
    }

    pub(crate) async fn read_until(&mut self, done: impl Fn(&[Frame]) -> bool) {
        while !done(&self.frames) {
            assert_ne!(self.read_some(PIECE).await, 0, "the end, before all has come");
        }
    }

    /// Reads at most this much; 0 is the end of the transport.
    pub(crate) async fn read_some(&mut self, most: usize) -> usize {
        let mut piece = vec![0; most];
        let read = self.io.read(&mut piece).await.unwrap();
        self.take(&piece[..read]);
        read
    }

    /// Reads what has come by now, and returns how much that was.
    pub(crate) fn poll_all(&mut self, cx: &mut Context<'_>) -> usize {
        let mut all = 0;
        let mut memory = vec![0; PIECE];
        loop {
            let mut buf = ReadBuf::new(&mut memory);
            match Pin::new(&mut self.io).poll_read(cx, &mut buf) {
                Poll::Ready(read) => read.unwrap(),
                Poll::Pending => return all,
            }
            if buf.filled().is_empty() {
                return all;
            }
            all += buf.filled().len();
            self.take(buf.filled());
        }
    }

    fn take(&mut self, bytes: &[u8]) {
        self.rest.extend(bytes);
        let (frames, rest) = frames::parse_some(&self.rest);
        assert!(frames.iter().all(|frame| frame.masked == (self.role == Role::Client)));
        let whole = self.rest.len() - rest.len();
        self.rest.drain(..whole);
        self.frames.extend(frames);
    }
}
