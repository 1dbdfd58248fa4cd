//! Bytes on their way to the transport.

use super::scratch;

/// How much may gather while the transport is busy.
pub(super) const MAX_GATHERED: usize = 64 * 1024;

/// What was accepted and the transport has not taken yet. Owns no memory when that is nothing.
#[derive(Default)]
pub(super) struct SendBuffer {
    bytes: Vec<u8>,
    /// How many of `bytes` the transport has taken.
    sent: usize,
}

impl SendBuffer {
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Bytes that the transport has not taken.
    #[inline]
    pub(super) fn len(&self) -> usize {
        self.bytes.len() - self.sent
    }

    pub(super) fn unsent(&self) -> &[u8] {
        &self.bytes[self.sent..]
    }

    /// The transport has taken `bytes`. The memory is given back with the last of them.
    pub(super) fn taken(&mut self, bytes: usize) {
        self.sent += bytes;
        if self.sent == self.bytes.len() {
            self.clear();
        }
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// The bytes, with memory for this many more at their end.
    pub(super) fn reserve(&mut self, more: usize) -> &mut Vec<u8> {
        if self.bytes.capacity() - self.bytes.len() < more {
            self.make_room(more);
        }
        &mut self.bytes
    }

    #[inline(never)]
    fn make_room(&mut self, more: usize) {
        self.bytes.drain(..self.sent);
        self.sent = 0;
        let len = self.bytes.len();
        if self.bytes.capacity() - len >= more {
            return;
        }
        let needed = len + more;
        let capacity = needed.next_power_of_two().min(MAX_GATHERED).max(needed);
        if len == 0 {
            self.bytes = Vec::with_capacity(capacity);
            return;
        }
        // Never two pieces of memory of the stream's at once.
        scratch::with(|moved| {
            moved.extend_from_slice(&self.bytes);
            self.bytes = Vec::new();
            self.bytes.reserve_exact(capacity);
            self.bytes.extend_from_slice(moved);
        });
    }
}
