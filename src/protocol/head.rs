//! The head of a frame (RFC 6455 section 5.2): FIN, opcode, length and masking key.

use super::{MAX_CONTROL_PAYLOAD, mask::Key, violation::Violation};
use fastwebsockets::OpCode;

/// The longest head: 2 bytes, a 64-bit length and a masking key.
pub(crate) const MAX_HEAD: usize = 14;

const FIN: u8 = 0x80;
const RESERVED: u8 = 0x70;
const OPCODE: u8 = 0x0f;
const MASK: u8 = 0x80;
const LENGTH: u8 = 0x7f;
/// The length is in the next 2 bytes.
const LENGTH_16: u8 = 126;
/// The length is in the next 8 bytes.
const LENGTH_64: u8 = 127;

/// A frame's head.
pub(crate) struct Head {
    /// Whether this is the last fragment of its message.
    pub(crate) fin: bool,
    pub(crate) opcode: OpCode,
    /// Bytes of payload.
    pub(crate) len: u64,
    /// The masking key, if the payload is masked.
    pub(crate) key: Option<Key>,
}

/// What the first bytes of a frame say.
pub(crate) enum Parsed {
    /// The head, and the bytes that it takes.
    Complete(Head, usize),
    /// The head isn't complete: it has at least this many bytes.
    Incomplete(usize),
}

impl Head {
    /// Reads a head from the start of `bytes`. `masked` tells whether the peer has to mask.
    /// A violation is reported as soon as its byte is there.
    #[inline]
    pub(crate) fn parse(bytes: &[u8], masked: bool) -> Result<Parsed, Violation> {
        let Some(&first) = bytes.first() else {
            return Ok(Parsed::Incomplete(2));
        };
        if first & RESERVED != 0 {
            return Err(Violation::ReservedBits);
        }
        let fin = first & FIN != 0;
        let opcode = opcode(first & OPCODE)?;
        let control = is_control(opcode);
        if control && !fin {
            return Err(Violation::FragmentedControl);
        }

        let Some(&second) = bytes.get(1) else {
            return Ok(Parsed::Incomplete(2));
        };
        match (second & MASK != 0, masked) {
            (true, false) => return Err(Violation::MaskedFrame),
            (false, true) => return Err(Violation::UnmaskedFrame),
            _ => {}
        }
        let short = second & LENGTH;
        if control && usize::from(short) > MAX_CONTROL_PAYLOAD {
            return Err(Violation::ControlTooLong);
        }

        let (len, size) = match short {
            LENGTH_16 => match bytes.get(2..4) {
                None => return Ok(Parsed::Incomplete(4)),
                Some(len) => (u64::from(u16::from_be_bytes([len[0], len[1]])), 4),
            },
            LENGTH_64 => match bytes.get(2..10).and_then(|len| len.try_into().ok()) {
                None => return Ok(Parsed::Incomplete(10)),
                Some(len) => (u64::from_be_bytes(len), 10),
            },
            short => (u64::from(short), 2),
        };
        if len > i64::MAX as u64 {
            return Err(Violation::LengthTooLarge);
        }
        if size != length_size(len) {
            return Err(Violation::LengthNotMinimal);
        }

        if !masked {
            return Ok(Parsed::Complete(Head { fin, opcode, len, key: None }, size));
        }
        match bytes.get(size..size + 4).and_then(|key| key.try_into().ok()) {
            None => Ok(Parsed::Incomplete(size + 4)),
            Some(key) => {
                let key = Some(Key::new(key));
                Ok(Parsed::Complete(Head { fin, opcode, len, key }, size + 4))
            }
        }
    }

    /// Bytes of the head.
    pub(crate) fn size(&self) -> usize {
        length_size(self.len) + if self.key.is_some() { 4 } else { 0 }
    }

    /// Writes the head to the start of `out` and returns its size.
    #[inline]
    pub(crate) fn write(&self, out: &mut [u8]) -> usize {
        let mask = if self.key.is_some() { MASK } else { 0 };
        out[0] = if self.fin { FIN } else { 0 } | self.opcode as u8;
        let size = length_size(self.len);
        let len = self.len.to_be_bytes();
        match size {
            2 => out[1] = mask | len[7],
            4 => {
                out[1] = mask | LENGTH_16;
                out[2..4].copy_from_slice(&len[6..]);
            }
            _ => {
                out[1] = mask | LENGTH_64;
                out[2..10].copy_from_slice(&len);
            }
        }
        match self.key {
            None => size,
            Some(key) => {
                out[size..size + 4].copy_from_slice(&key.bytes());
                size + 4
            }
        }
    }
}

/// The bytes of a head without its key, with the length in its shortest form.
#[inline]
fn length_size(len: u64) -> usize {
    match len {
        0..=125 => 2,
        126..=0xffff => 4,
        _ => 10,
    }
}

#[inline]
fn opcode(bits: u8) -> Result<OpCode, Violation> {
    Ok(match bits {
        0x0 => OpCode::Continuation,
        0x1 => OpCode::Text,
        0x2 => OpCode::Binary,
        0x8 => OpCode::Close,
        0x9 => OpCode::Ping,
        0xa => OpCode::Pong,
        _ => return Err(Violation::ReservedOpcode),
    })
}

#[inline]
pub(crate) fn is_control(opcode: OpCode) -> bool {
    matches!(opcode, OpCode::Close | OpCode::Ping | OpCode::Pong)
}

#[cfg(test)]
mod tests {
    use super::*;
    use fastwebsockets::{Frame, Payload};

    #[test]
    fn heads_are_those_of_fastwebsockets() {
        for len in [0usize, 1, 125, 126, 127, 200, 65_535, 65_536, 70_000] {
            for key in [None, Some([1, 2, 3, 4])] {
                let payload = vec![0; len];
                let mut theirs = [0; 16];
                let size = Frame::new(true, OpCode::Binary, key, Payload::Borrowed(&payload))
                    .fmt_head(&mut theirs);

                let mut ours = [0; MAX_HEAD];
                let head = Head {
                    fin: true,
                    opcode: OpCode::Binary,
                    len: len as u64,
                    key: key.map(Key::new),
                };
                assert_eq!(head.write(&mut ours), size, "{len} bytes");
                assert_eq!(ours[..size], theirs[..size], "{len} bytes");

                match Head::parse(&ours, key.is_some()) {
                    Ok(Parsed::Complete(parsed, parsed_size)) => {
                        assert_eq!((parsed.len, parsed_size), (len as u64, size));
                        assert_eq!(parsed.key.map(Key::bytes), key);
                    }
                    _ => panic!("{len} bytes: not a complete head"),
                }
            }
        }
    }

    #[test]
    fn every_cut_head_says_that_it_needs_more() {
        let whole = [0x82, 0xff, 0, 0, 0, 0, 0, 1, 0, 0, 9, 8, 7, 6];
        for cut in 0..whole.len() {
            match Head::parse(&whole[..cut], true) {
                Ok(Parsed::Incomplete(needed)) => assert!(needed > cut && needed <= whole.len()),
                _ => panic!("cut at {cut}"),
            }
        }
    }
}
