//! What is sent, and the check that it arrives.

use std::{fmt, io, ops::Range, sync::Arc};

/// Bytes that are sent over and over. They stay in the second cache: from outside of it, the bare
/// transport would be slower whenever another program moves memory, and the ratio to it better.
const PERIOD: usize = 256 << 10;

/// What the bytes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    Binary,
    /// Text of one byte a character.
    Ascii,
    /// Text of one to four bytes a character.
    Mixed,
}

impl Content {
    pub fn is_text(self) -> bool {
        self != Content::Binary
    }
}

impl fmt::Display for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Content::Binary => "binary",
            Content::Ascii => "ascii",
            Content::Mixed => "mixed",
        })
    }
}

/// Messages of one size, sent over and over.
#[derive(Clone, Debug)]
pub struct Payload {
    /// Whole messages, as many as a power of two has.
    pub bytes: Arc<[u8]>,
    /// Of a message.
    pub size: usize,
    pub content: Content,
}

impl Payload {
    pub fn new(content: Content, size: usize) -> Self {
        assert!(size.is_power_of_two(), "positions are masked, not divided");
        let mut bytes = Vec::new();
        while bytes.len() < size.max(PERIOD) {
            message(content, bytes.len(), size, &mut bytes);
        }
        Self { bytes: bytes.into(), size, content }
    }

    /// Where the n-th message is.
    pub fn message(&self, n: u64) -> Range<usize> {
        let start = (n as usize).wrapping_mul(self.size) & (self.bytes.len() - 1);
        start..start + self.size
    }

    /// A check of bytes that are this from its start.
    pub fn check(&self, thorough: bool) -> Check {
        Check { bytes: Arc::clone(&self.bytes), at: 0, thorough }
    }
}

/// Appends one message. Text is whole characters, padded to the size.
fn message(content: Content, seed: usize, size: usize, bytes: &mut Vec<u8>) {
    let end = bytes.len() + size;
    match content {
        Content::Binary => {
            bytes.extend(
                (seed..seed + size)
                    .map(|i| (i as u32).wrapping_mul(2_654_435_761) as u8 ^ (i >> 8) as u8),
            );
        }
        Content::Ascii => bytes.extend((seed..seed + size).map(|i| b' ' + (i % 95) as u8)),
        Content::Mixed => {
            let characters = "Zwölf Boxkämpfer, δοκιμή, проверка, 試験, ทดสอบ, 😀".chars().cycle();
            for character in characters.skip(seed % 17) {
                if bytes.len() + character.len_utf8() > end {
                    break;
                }
                bytes.extend(character.encode_utf8(&mut [0; 4]).as_bytes());
            }
            bytes.resize(end, b'.');
        }
    }
}

/// Looks at what arrives: nobody wins by losing bytes.
#[derive(Debug)]
pub struct Check {
    bytes: Arc<[u8]>,
    at: usize,
    /// Compares every byte, not only the first and the last of each piece.
    thorough: bool,
}

impl Check {
    pub fn take(&mut self, piece: &[u8]) -> io::Result<()> {
        let (Some(first), Some(last)) = (piece.first(), piece.last()) else { return Ok(()) };
        let is_right = if self.thorough {
            self.is_expected(piece)
        } else {
            *first == self.expected(0) && *last == self.expected(piece.len() - 1)
        };
        self.at = self.at.wrapping_add(piece.len());
        if is_right { Ok(()) } else { Err(io::Error::other("wrong bytes arrived")) }
    }

    fn expected(&self, ahead: usize) -> u8 {
        self.bytes[self.at.wrapping_add(ahead) & (self.bytes.len() - 1)]
    }

    fn is_expected(&self, mut piece: &[u8]) -> bool {
        let mut at = self.at & (self.bytes.len() - 1);
        while !piece.is_empty() {
            let expected = &self.bytes[at..];
            let len = expected.len().min(piece.len());
            if expected[..len] != piece[..len] {
                return false;
            }
            piece = &piece[len..];
            at = 0;
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_check_takes_what_was_sent_and_nothing_else() {
        for content in [Content::Binary, Content::Ascii, Content::Mixed] {
            for size in [64, 1 << 20] {
                let payload = Payload::new(content, size);
                let end = payload.bytes.len();
                for thorough in [false, true] {
                    let mut check = payload.check(thorough);
                    check.take(&payload.bytes[..100]).unwrap();
                    check.take(&payload.bytes[100..]).unwrap();
                    // And from the start again.
                    check.take(&payload.bytes[..end - 7]).unwrap();
                    let missing = check.take(&payload.bytes[end - 6..]);
                    assert!(missing.is_err(), "{content}, {size}, {thorough}");
                }
                let mut changed = payload.bytes.to_vec();
                changed[end / 2] ^= 1;
                assert!(payload.check(true).take(&changed).is_err());
            }
        }
    }

    #[test]
    fn every_message_of_a_text_is_text() {
        for content in [Content::Ascii, Content::Mixed] {
            let payload = Payload::new(content, 64);
            for message in payload.bytes.chunks(64) {
                assert!(std::str::from_utf8(message).is_ok());
            }
        }
    }
}
