//! The read direction: what has come from the peer.

use crate::{
    CloseFrame, Error, Violation,
    protocol::{
        decoder::{Cursor, Decoder, Event},
        head::MAX_HEAD,
    },
};
use std::io;

/// Inside a frame with at least this much to come, a read stops soon after its end: what follows
/// would have to be shifted over the next head, which costs as much as another read.
const LARGE_REST: u64 = 4096;

/// Bytes that an `AsyncBufRead` user gets at a time, at most.
const BUFFER: usize = 8 * 1024;

/// What was read, and how it ended.
pub(super) struct Inbound {
    pub(super) decoder: Decoder,
    /// Bytes of payload that have come.
    pub(super) bytes: u64,
    /// Payload for `AsyncBufRead`. Owns no memory at rest.
    pub(super) buffer: Buffer,
    /// An error that isn't the last, which a writer has met in place of a reader.
    pub(super) not_now: Option<Box<io::Error>>,
    reading: Reading,
}

enum Reading {
    Open,
    /// This end follows the payload that was returned last.
    Ending(End),
    /// The reader has come to this.
    Ended(End),
}

/// Why nothing more is read.
pub(super) enum End {
    /// The peer's Close: end of file.
    Closed(Box<CloseFrame>),
    /// A Close that isn't a normal one, where it matters.
    Aborted(Box<CloseFrame>),
    Violation(Violation),
    /// The transport ended before a Close.
    Truncated,
    /// Nothing came from the peer, and no answer to a ping.
    Silent,
    /// The transport failed. The error is there until a reader has been given it.
    Failed(io::ErrorKind, Option<io::Error>),
    HandedOverInFrame,
}

impl End {
    /// The peer's Close, if it is one.
    pub(super) fn close_frame(&self) -> Option<&CloseFrame> {
        match self {
            End::Closed(close) | End::Aborted(close) => Some(close),
            _ => None,
        }
    }

    /// The error that it is; `None` for the end of the file.
    pub(super) fn error(&self) -> Option<Error> {
        Some(match self {
            End::Closed(_) => return None,
            End::Aborted(close) => Error::Aborted(CloseFrame::clone(close)),
            End::Violation(violation) => Error::Protocol(*violation),
            End::Truncated => Error::Truncated,
            End::Silent => Error::Silent,
            End::Failed(kind, _) => Error::Transport(*kind),
            End::HandedOverInFrame => Error::HandedOverInFrame,
        })
    }

    /// The error that it is for the reader, who gets one of the transport as it was, once.
    fn next_error(&mut self) -> Option<io::Error> {
        match self {
            End::Failed(_, error @ Some(_)) => error.take(),
            end => end.error().map(io::Error::from),
        }
    }
}

/// Decoded payload that nobody has read yet.
#[derive(Default)]
pub(super) struct Buffer {
    memory: Box<[u8]>,
    start: u32,
    end: u32,
}

impl Buffer {
    /// The first `len` bytes of `memory`, all unread.
    pub(super) fn new(memory: Box<[u8]>, len: usize) -> Self {
        Self { memory, start: 0, end: u32::try_from(len).expect("less than 4 GiB") }
    }

    /// All of `memory`, unread.
    pub(super) fn full(memory: Box<[u8]>) -> Self {
        let len = memory.len();
        Self::new(memory, len)
    }

    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.start == self.end
    }

    pub(super) fn unread(&self) -> &[u8] {
        &self.memory[self.start as usize..self.end as usize]
    }

    pub(super) fn consume(&mut self, bytes: usize) {
        let unread = self.end - self.start;
        self.start += u32::try_from(bytes).map_or(unread, |bytes| bytes.min(unread));
    }

    /// Gives its memory back, when nothing is unread.
    #[inline]
    pub(super) fn release(&mut self) {
        if !self.memory.is_empty() {
            *self = Self::default();
        }
    }

    /// Memory to read into, when nothing is unread. What an adopted socket left is of any size.
    pub(super) fn take_memory(&mut self) -> Box<[u8]> {
        let memory = std::mem::take(self).memory;
        if memory.len() == BUFFER { memory } else { vec![0; BUFFER].into_boxed_slice() }
    }
}

impl Inbound {
    pub(super) fn new(decoder: Decoder) -> Self {
        Self { decoder, bytes: 0, buffer: Buffer::default(), not_now: None, reading: Reading::Open }
    }

    /// Whether something that was read waits for a reader.
    pub(super) fn is_unread(&self) -> bool {
        !self.buffer.is_empty() || self.not_now.is_some()
    }

    /// Whether more may come.
    #[inline]
    pub(super) fn is_open(&self) -> bool {
        matches!(self.reading, Reading::Open)
    }

    /// What the reader has come to, if it has come to the end.
    #[inline]
    pub(super) fn end(&self) -> Option<&End> {
        match &self.reading {
            Reading::Ended(end) => Some(end),
            _ => None,
        }
    }

    /// What a read gives that has come to the end.
    pub(super) fn read_end(&mut self) -> io::Result<()> {
        match &mut self.reading {
            Reading::Ended(end) => end.next_error().map_or(Ok(()), Err),
            _ => Ok(()),
        }
    }

    /// The peer's Close, once the reader has come to it.
    pub(super) fn close_frame(&self) -> Option<&CloseFrame> {
        self.end().and_then(End::close_frame)
    }

    /// Nothing more comes behind what was read so far. The first reason counts.
    pub(super) fn end_with(&mut self, end: End) {
        if self.is_open() {
            self.reading = Reading::Ending(end);
        }
    }

    /// The reader has read everything before the end, if there is one: it counts from now on.
    /// Returns it the one time.
    #[inline]
    pub(super) fn come_to_end(&mut self) -> Option<&End> {
        if !matches!(self.reading, Reading::Ending(_)) {
            return None;
        }
        if let Reading::Ending(end) = std::mem::replace(&mut self.reading, Reading::Open) {
            self.reading = Reading::Ended(end);
        }
        self.end()
    }

    /// How many bytes to take from the transport into `space` bytes of memory, so that there are
    /// at most `want` bytes of payload among them, and as few as possible have to be moved.
    #[inline]
    pub(super) fn read_limit(&self, space: usize, want: usize) -> usize {
        let rest = self.decoder.remaining();
        if want < space {
            let all_payload = rest >= want as u64;
            let head = if all_payload { 0 } else { self.decoder.head_at_least() };
            return space.min(want + head);
        }
        if let Some(first) = self.decoder.read_first() {
            return first.min(space);
        }
        if rest < LARGE_REST {
            return space;
        }
        usize::try_from(rest).map_or(space, |rest| space.min(rest.saturating_add(MAX_HEAD)))
    }

    /// Decodes a chunk of the transport's bytes in place, one event at a time. Returns the bytes
    /// of payload at its front.
    #[inline]
    pub(super) fn decode(
        &mut self,
        chunk: &mut [u8],
        on_event: impl FnMut(&mut Self, Event),
    ) -> usize {
        let payload = if self.decoder.only_payload(chunk) {
            chunk.len()
        } else {
            self.decode_frames(chunk, on_event)
        };
        self.bytes += payload as u64;
        payload
    }

    #[inline(never)]
    fn decode_frames(
        &mut self,
        chunk: &mut [u8],
        mut on_event: impl FnMut(&mut Self, Event),
    ) -> usize {
        let mut at = Cursor::default();
        while let Some(event) = self.decoder.decode(chunk, &mut at) {
            on_event(self, event);
        }
        at.write
    }
}
