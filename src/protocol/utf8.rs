//! UTF-8 validation of a text that arrives in pieces (RFC 6455 section 8.1).

/// Knows whether the bytes so far can be the start of a valid text, and holds the code point that
/// they end in the middle of: 3 bytes at most.
#[derive(Clone, Copy, Default)]
pub(crate) struct Utf8 {
    partial: [u8; 3],
    len: u8,
}

/// Bytes of the checked piece that are valid; what follows them can't be part of any text.
#[derive(Debug, PartialEq)]
pub(crate) struct ValidUpTo(pub(crate) usize);

impl Utf8 {
    /// The bytes of a code point that isn't complete yet.
    #[inline]
    pub(crate) fn partial(&self) -> &[u8] {
        &self.partial[..usize::from(self.len)]
    }

    /// Whether the text can end here.
    #[inline]
    pub(crate) fn is_complete(&self) -> bool {
        self.len == 0
    }

    /// Takes the next piece. A byte that can't be right is an error at once, not only when its
    /// code point would be complete.
    pub(crate) fn push(&mut self, piece: &[u8]) -> Result<(), ValidUpTo> {
        let done = self.finish_partial(piece)?;
        let rest = &piece[done..];
        match simdutf8::compat::from_utf8(rest) {
            Ok(_) => Ok(()),
            Err(error) if error.error_len().is_none() => {
                self.hold(&rest[error.valid_up_to()..]);
                Ok(())
            }
            Err(error) => Err(ValidUpTo(done + error.valid_up_to())),
        }
    }

    /// Completes the code point that was cut, as far as `piece` goes. Returns the bytes taken.
    fn finish_partial(&mut self, piece: &[u8]) -> Result<usize, ValidUpTo> {
        let held = usize::from(self.len);
        if held == 0 {
            return Ok(0);
        }
        let width = match self.partial[0] {
            0xf0.. => 4,
            0xe0.. => 3,
            _ => 2,
        };
        let taken = piece.len().min(width - held);
        let mut code_point = [0; 4];
        code_point[..held].copy_from_slice(self.partial());
        code_point[held..held + taken].copy_from_slice(&piece[..taken]);
        let code_point = &code_point[..held + taken];
        match std::str::from_utf8(code_point) {
            Ok(_) => self.len = 0,
            Err(error) => match error.error_len() {
                None => self.hold(code_point),
                // The held bytes were a valid start, so the bad byte comes after them.
                Some(bad) => return Err(ValidUpTo(bad.saturating_sub(held))),
            },
        }
        Ok(taken)
    }

    fn hold(&mut self, partial: &[u8]) {
        self.partial[..partial.len()].copy_from_slice(partial);
        self.len = partial.len() as u8;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str =
        "aé€😀zß한글 😀😀 plain ascii, long enough for the vector path of the validator é";

    #[test]
    fn any_cut_of_a_valid_text_is_valid() {
        let bytes = TEXT.as_bytes();
        for first in 0..=bytes.len() {
            for second in first..=bytes.len() {
                let mut text = Utf8::default();
                for piece in [&bytes[..first], &bytes[first..second], &bytes[second..]] {
                    assert_eq!(text.push(piece), Ok(()), "cut at {first} and {second}");
                }
                assert!(text.is_complete());
            }
        }
    }

    #[test]
    fn byte_by_byte_it_holds_what_is_not_complete() {
        let mut text = Utf8::default();
        for (i, byte) in "😀".bytes().enumerate() {
            text.push(&[byte]).unwrap();
            assert_eq!(text.partial().len(), (i + 1) % 4);
        }
    }

    #[test]
    fn the_first_bad_byte_is_an_error_at_once() {
        // Overlong forms, surrogates, beyond U+10FFFF, a lone continuation, a cut sequence.
        let bad: &[(&[u8], usize)] = &[
            (b"\xc0", 0),
            (b"\xe0\x80", 1),
            (b"\xed\xa0", 1),
            (b"\xf4\x90", 1),
            (b"\xf5", 0),
            (b"ok\x80", 2),
            (b"\xe2\x82A", 2),
            (b"\xf0\x9f\x98\xc0", 3),
        ];
        for (bytes, first_bad) in bad {
            let mut text = Utf8::default();
            for (i, byte) in bytes.iter().enumerate() {
                let result = text.push(&[*byte]);
                assert_eq!(result.is_err(), i == *first_bad, "{bytes:x?} at {i}");
                if i == *first_bad {
                    break;
                }
            }
            assert!(Utf8::default().push(bytes).is_err(), "{bytes:x?} at once");
        }
    }

    #[test]
    fn says_how_much_is_valid() {
        assert_eq!(Utf8::default().push(b"good\xff"), Err(ValidUpTo(4)));
        let mut text = Utf8::default();
        text.push(b"\xe2").unwrap();
        assert_eq!(text.push(b"\x82A"), Err(ValidUpTo(1)));
    }
}
