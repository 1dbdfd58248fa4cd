//! Masking (RFC 6455 section 5.3).

use super::vectors::{Loop, run};

/// A masking key, turned so that its first byte belongs to the next byte of payload.
#[derive(Clone, Copy, Default)]
pub(crate) struct Key(u32);

/// Bytes that one step of the loops below handles; they become vector instructions.
const BLOCK: usize = 256;

/// The same for what is less than a block.
const SMALL_BLOCK: usize = 64;

impl Key {
    #[inline]
    pub(crate) fn new(bytes: [u8; 4]) -> Self {
        Self(u32::from_le_bytes(bytes))
    }

    #[inline]
    pub(crate) fn bytes(self) -> [u8; 4] {
        self.0.to_le_bytes()
    }

    /// The key as it applies `n` bytes further on.
    #[inline]
    pub(crate) fn after(self, n: usize) -> Self {
        Self(self.0.rotate_right(8 * (n % 4) as u32))
    }

    /// Masks or unmasks `data` in place.
    pub(crate) fn apply(self, data: &mut [u8]) {
        run(Apply { key: self, data });
    }

    /// Moves `len` bytes of `data` from `from` down to `to`, masking or unmasking them on the way:
    /// one pass over memory instead of two.
    pub(crate) fn shift(self, data: &mut [u8], from: usize, to: usize, len: usize) {
        debug_assert!(to <= from);
        run(Shift { key: self, data: &mut data[to..from + len], gap: from - to });
    }

    /// Gives a masked copy of `data` to `put`, piece by piece, in one pass over memory.
    #[inline]
    pub(crate) fn copy(self, data: &[u8], put: impl FnMut(&[u8])) {
        run(Copy { key: self, data, put });
    }

    /// A masked copy of `N` bytes.
    #[inline(always)]
    fn masked<const N: usize>(self, data: &[u8]) -> [u8; N] {
        let mut block = [0; N];
        block.copy_from_slice(data);
        let pattern: [u8; N] = self.pattern();
        xor(&mut block, &pattern);
        block
    }

    #[inline(always)]
    fn pattern<const N: usize>(self) -> [u8; N] {
        let mut pattern = [0; N];
        for word in pattern.chunks_exact_mut(4) {
            word.copy_from_slice(&self.bytes());
        }
        pattern
    }
}

struct Apply<'a> {
    key: Key,
    data: &'a mut [u8],
}

impl Loop for Apply<'_> {
    #[inline(always)]
    fn len(&self) -> usize {
        self.data.len()
    }

    #[inline(always)]
    fn run(self) {
        let Self { key, data } = self;
        let mut blocks = data.chunks_exact_mut(BLOCK);
        for block in &mut blocks {
            block.copy_from_slice(&key.masked::<BLOCK>(block));
        }
        let mut blocks = blocks.into_remainder().chunks_exact_mut(SMALL_BLOCK);
        for block in &mut blocks {
            block.copy_from_slice(&key.masked::<SMALL_BLOCK>(block));
        }
        let rest = blocks.into_remainder();
        xor(rest, &key.pattern::<SMALL_BLOCK>());
    }
}

/// Moves all but the first `gap` bytes to the front.
struct Shift<'a> {
    key: Key,
    data: &'a mut [u8],
    gap: usize,
}

impl Loop for Shift<'_> {
    #[inline(always)]
    fn len(&self) -> usize {
        self.data.len() - self.gap
    }

    #[inline(always)]
    fn run(self) {
        let Self { key, data, gap } = self;
        let len = data.len() - gap;
        let mut done = 0;
        while done + BLOCK <= len {
            let block = key.masked::<BLOCK>(&data[done + gap..done + gap + BLOCK]);
            data[done..done + BLOCK].copy_from_slice(&block);
            done += BLOCK;
        }
        while done + SMALL_BLOCK <= len {
            let block = key.masked::<SMALL_BLOCK>(&data[done + gap..done + gap + SMALL_BLOCK]);
            data[done..done + SMALL_BLOCK].copy_from_slice(&block);
            done += SMALL_BLOCK;
        }
        if done < len {
            data.copy_within(done + gap.., done);
            xor(&mut data[done..len], &key.pattern::<SMALL_BLOCK>());
        }
    }
}

struct Copy<'a, P> {
    key: Key,
    data: &'a [u8],
    put: P,
}

impl<P: FnMut(&[u8])> Loop for Copy<'_, P> {
    #[inline(always)]
    fn len(&self) -> usize {
        self.data.len()
    }

    #[inline(always)]
    fn run(self) {
        let Self { key, data, mut put } = self;
        let mut blocks = data.chunks_exact(BLOCK);
        for block in &mut blocks {
            put(&key.masked::<BLOCK>(block));
        }
        let mut blocks = blocks.remainder().chunks_exact(SMALL_BLOCK);
        for block in &mut blocks {
            put(&key.masked::<SMALL_BLOCK>(block));
        }
        let rest = blocks.remainder();
        if !rest.is_empty() {
            let mut block = [0; SMALL_BLOCK];
            block[..rest.len()].copy_from_slice(rest);
            put(&key.masked::<SMALL_BLOCK>(&block)[..rest.len()]);
        }
    }
}

#[inline(always)]
fn xor(data: &mut [u8], pattern: &[u8]) {
    for (byte, mask) in data.iter_mut().zip(pattern) {
        *byte ^= mask;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: [u8; 4] = [0x12, 0x34, 0xab, 0xf0];

    fn masked_one_by_one(data: &[u8], key: [u8; 4]) -> Vec<u8> {
        data.iter().enumerate().map(|(i, b)| b ^ key[i % 4]).collect()
    }

    fn bytes(len: usize) -> Vec<u8> {
        (0..len).map(|i| (i * 7 + i / 251) as u8).collect()
    }

    #[test]
    fn masks_every_length_in_place() {
        for len in 0..1100 {
            let expected = masked_one_by_one(&bytes(len), KEY);
            let mut data = bytes(len);
            Key::new(KEY).apply(&mut data);
            assert_eq!(data, expected, "{len} bytes");
            // Without wider vectors as well.
            let mut data = bytes(len);
            Apply { key: Key::new(KEY), data: &mut data }.run();
            assert_eq!(data, expected, "{len} bytes");
        }
    }

    #[test]
    fn copies_and_masks_in_one_pass() {
        for len in 0..1100 {
            let expected = masked_one_by_one(&bytes(len), KEY);
            let mut copy = Vec::new();
            Key::new(KEY).copy(&bytes(len), |block| copy.extend_from_slice(block));
            assert_eq!(copy, expected, "{len} bytes");
            let mut copy = Vec::new();
            let put = |block: &[u8]| copy.extend_from_slice(block);
            Copy { key: Key::new(KEY), data: &bytes(len), put }.run();
            assert_eq!(copy, expected, "{len} bytes");
        }
    }

    #[test]
    fn shifts_and_unmasks_in_one_pass() {
        for gap in [0, 1, 2, 6, 8, 14, 63, 64, 200] {
            for len in 0..600 {
                let mut data = bytes(gap + len + 5);
                let expected = masked_one_by_one(&data[gap..gap + len], KEY);
                let behind = data[gap + len..].to_vec();
                Key::new(KEY).shift(&mut data, gap, 0, len);
                assert_eq!(data[..len], expected, "gap {gap}, {len} bytes");
                assert_eq!(data[gap + len..], behind, "what follows stays as it is");
                let mut data = bytes(gap + len);
                Shift { key: Key::new(KEY), data: &mut data, gap }.run();
                assert_eq!(data[..len], expected, "gap {gap}, {len} bytes");
            }
        }
    }

    #[test]
    fn a_turned_key_continues_where_the_payload_was_cut() {
        let whole = masked_one_by_one(&bytes(20), KEY);
        for cut in 0..20 {
            let mut data = bytes(20);
            let (head, tail) = data.split_at_mut(cut);
            Key::new(KEY).apply(head);
            Key::new(KEY).after(cut).apply(tail);
            assert_eq!(data, whole, "cut at {cut}");
        }
    }
}
