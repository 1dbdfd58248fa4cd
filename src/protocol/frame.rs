//! A frame on its way out, without a copy of its payload.

use super::{
    head::{Head, MAX_HEAD},
    mask::Key,
};
use fastwebsockets::OpCode;
use std::{io::IoSlice, mem::MaybeUninit, ops::Range};
use tokio::io::ReadBuf;

/// Bytes of payload that the prefix can hold: an unfinished code point.
const MAX_LEAD: usize = 3;

/// One FIN frame: a prefix of its own, then the caller's bytes.
pub(crate) struct Frame<'a> {
    /// The head, and the bytes that come before the caller's, masked.
    prefix: [u8; MAX_HEAD + MAX_LEAD],
    prefix_len: usize,
    /// The key as it applies to the first of the caller's bytes.
    key: Option<Key>,
    slices: &'a [IoSlice<'a>],
    /// How many of the bytes of `slices` belong to the frame.
    len: usize,
}

impl<'a> Frame<'a> {
    /// A frame whose payload is `lead` and the first `len` bytes of `slices`.
    #[inline]
    pub(crate) fn new(
        opcode: OpCode,
        key: Option<Key>,
        lead: &[u8],
        slices: &'a [IoSlice<'a>],
        len: usize,
    ) -> Self {
        let head = Head { fin: true, opcode, len: (lead.len() + len) as u64, key };
        let mut prefix = [0; MAX_HEAD + MAX_LEAD];
        let size = head.write(&mut prefix);
        if lead.is_empty() {
            return Self { prefix, prefix_len: size, key, slices, len };
        }
        let prefix_len = size + lead.len();
        prefix[size..prefix_len].copy_from_slice(lead);
        if let Some(key) = key {
            key.apply(&mut prefix[size..prefix_len]);
        }
        let key = key.map(|key| key.after(lead.len()));
        Self { prefix, prefix_len, key, slices, len }
    }

    /// Bytes of the whole frame.
    #[inline]
    pub(crate) fn size(&self) -> usize {
        self.prefix_len + self.len
    }

    /// Bytes to leave free from here on, up to `LINE`, for the caller's bytes to come to lie at the
    /// start of a line of the cache: masking is 8 % slower where it stores across two.
    #[inline]
    pub(crate) fn padding(&self, memory: *const u8) -> usize {
        LINE - (memory as usize + self.prefix_len) % LINE
    }

    /// The frame as slices, in `out`; `None` if it is masked or has more slices than fit.
    #[inline]
    pub(crate) fn as_slices<'b>(&'b self, out: &'b mut [IoSlice<'b>]) -> Option<&'b [IoSlice<'b>]> {
        if self.key.is_some() {
            return None;
        }
        let mut left = self.len;
        let mut count = 1;
        *out.first_mut()? = IoSlice::new(&self.prefix[..self.prefix_len]);
        for slice in self.slices.iter().filter(|slice| !slice.is_empty()) {
            if left == 0 {
                break;
            }
            let slice = &slice[..slice.len().min(left)];
            left -= slice.len();
            *out.get_mut(count)? = IoSlice::new(slice);
            count += 1;
        }
        Some(&out[..count])
    }

    /// Copies the whole frame, masked if it is, to the end of `out`.
    #[inline]
    pub(crate) fn copy_all(&self, out: &mut impl Append) {
        out.append(&self.prefix[..self.prefix_len]);
        if let [slice] = self.slices {
            match self.key {
                None => out.append(&slice[..self.len]),
                Some(key) => key.copy(&slice[..self.len], |block| out.append(block)),
            }
        } else {
            self.copy(self.prefix_len..self.size(), out);
        }
    }

    /// Copies these bytes of the frame, masked if it is, to the end of `out`.
    pub(crate) fn copy(&self, range: Range<usize>, out: &mut impl Append) {
        if range.start < self.prefix_len {
            out.append(&self.prefix[range.start..range.end.min(self.prefix_len)]);
        }
        let mut skip = range.start.saturating_sub(self.prefix_len);
        let mut left = range.end.saturating_sub(self.prefix_len).saturating_sub(skip);
        let mut key = self.key.map(|key| key.after(skip));
        for slice in self.slices {
            if left == 0 {
                break;
            }
            if skip >= slice.len() {
                skip -= slice.len();
                continue;
            }
            let piece = &slice[skip..slice.len().min(skip + left)];
            skip = 0;
            left -= piece.len();
            match &mut key {
                None => out.append(piece),
                Some(key) => {
                    key.copy(piece, |block| out.append(block));
                    *key = key.after(piece.len());
                }
            }
        }
    }
}

/// Somewhere to copy bytes to.
pub(crate) trait Append {
    fn append(&mut self, bytes: &[u8]);
}

impl Append for Vec<u8> {
    #[inline]
    fn append(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }
}

impl Append for ReadBuf<'_> {
    #[inline]
    fn append(&mut self, bytes: &[u8]) {
        self.put_slice(bytes);
    }
}

/// Bytes of a line of the cache.
pub(crate) const LINE: usize = 64;

/// Memory on the stack that nobody has to fill with zeros first.
#[repr(align(64))]
pub(crate) struct Scratch<const N: usize>([MaybeUninit<u8>; N]);

impl<const N: usize> Scratch<N> {
    pub(crate) fn new() -> Self {
        Self([const { MaybeUninit::uninit() }; N])
    }

    pub(crate) fn buf(&mut self) -> ReadBuf<'_> {
        ReadBuf::uninit(&mut self.0)
    }

    /// A buffer for a copy of the frame from its start, up to `LINE` bytes smaller than the memory.
    #[inline]
    pub(crate) fn buf_for(&mut self, frame: &Frame<'_>) -> ReadBuf<'_> {
        let padding = frame.padding(self.0.as_ptr().cast());
        ReadBuf::uninit(&mut self.0[padding..])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_range_of_a_frame_is_that_part_of_its_bytes() {
        let payload: Vec<u8> = (0..10_000).map(|i| (i % 249) as u8).collect();
        let slices = [&payload[..1], &[], &payload[1..5000], &payload[5000..]].map(IoSlice::new);
        for key in [None, Some([9, 8, 7, 6])] {
            let frame = Frame::new(OpCode::Text, key.map(Key::new), b"ab", &slices, 9_000);

            let mut whole = Vec::new();
            frame.copy(0..frame.size(), &mut whole);
            let mut expected = vec![0x81, 126, 0x23, 0x2a];
            if let Some(key) = key {
                expected[1] |= 0x80;
                expected.extend(key);
            }
            let key = key.unwrap_or_default();
            let content = b"ab".iter().chain(&payload[..9_000]);
            expected.extend(content.enumerate().map(|(i, b)| b ^ key[i % 4]));
            assert_eq!(whole, expected);

            for start in [0, 1, 5, 9, 10, 11, 12, 4_100, 5_006, 9_005] {
                for end in [start, start + 1, frame.size()] {
                    let mut part = Vec::new();
                    frame.copy(start..end, &mut part);
                    assert_eq!(part, whole[start..end], "{start}..{end}");
                }
            }
        }
    }

    #[test]
    fn a_copy_has_the_callers_bytes_at_the_start_of_a_line() {
        let payload = [7; 300];
        for (lead, len, key) in
            [("", 1, false), ("", 125, true), ("", 300, true), ("ab", 300, true)]
        {
            let key = key.then(|| Key::new([9, 8, 7, 6]));
            let slices = [IoSlice::new(&payload)];
            let frame = Frame::new(OpCode::Text, key, lead.as_bytes(), &slices, len);
            let mut scratch = Scratch::<{ 512 + LINE }>::new();
            let mut copy = scratch.buf_for(&frame);
            assert!(copy.capacity() >= 512);
            frame.copy_all(&mut copy);
            let first = &copy.filled()[frame.size() - len..];
            assert_eq!(first.as_ptr() as usize % LINE, 0, "{lead:?}, {len}");
        }
    }

    #[test]
    fn slices_are_the_same_bytes() {
        let slices = [b"one".as_slice(), b"", b"two", b"three"].map(IoSlice::new);
        let frame = Frame::new(OpCode::Binary, None, b"", &slices, 8);
        let mut out = [IoSlice::new(&[]); 4];
        let parts = frame.as_slices(&mut out).unwrap();
        let parts: Vec<&[u8]> = parts.iter().map(|part| &part[..]).collect();
        assert_eq!(parts, [b"\x82\x08".as_slice(), b"one", b"two", b"th"]);
        assert!(frame.as_slices(&mut [IoSlice::new(&[]); 3]).is_none(), "too few places");
        let masked = Frame::new(OpCode::Binary, Some(Key::new([1; 4])), b"", &slices, 8);
        assert!(masked.as_slices(&mut [IoSlice::new(&[]); 9]).is_none(), "masked bytes are copies");
    }
}
