//! Frames, made and taken apart without any of the contestants (RFC 6455 section 5.2).

use std::io;

const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// Appends one frame that is a whole message.
pub fn frame(text: bool, masked: bool, payload: &[u8], to: &mut Vec<u8>) {
    let mask_bit = if masked { 0x80 } else { 0 };
    to.push(if text { 0x81 } else { 0x82 });
    match payload.len() {
        len @ 0..126 => to.push(mask_bit | len as u8),
        len @ 126..0x1_0000 => {
            to.push(mask_bit | 126);
            to.extend((len as u16).to_be_bytes());
        }
        len => {
            to.push(mask_bit | 127);
            to.extend((len as u64).to_be_bytes());
        }
    }
    if masked {
        to.extend(KEY);
        to.extend(payload.iter().zip(KEY.iter().cycle()).map(|(byte, key)| byte ^ key));
    } else {
        to.extend(payload);
    }
}

/// The payload of all data frames. Fails where a frame isn't as this side has to send it.
pub fn payload(text: bool, masked: bool, mut wire: &[u8]) -> io::Result<Vec<u8>> {
    let mut payload = Vec::new();
    while !wire.is_empty() {
        let opcode = take(&mut wire, 1)?[0] & 0x7f;
        let expected = if text { 1 } else { 2 };
        if opcode != expected && opcode != 0 {
            return Err(io::Error::other("a frame of the wrong type"));
        }
        let second = take(&mut wire, 1)?[0];
        if (second & 0x80 != 0) != masked {
            return Err(io::Error::other(
                "a frame masked where it shouldn't be, or not where it should",
            ));
        }
        let len = match second & 0x7f {
            126 => number(take(&mut wire, 2)?),
            127 => number(take(&mut wire, 8)?),
            len => usize::from(len),
        };
        let key = if masked { take(&mut wire, 4)? } else { &[0; 4] };
        let masked_payload = take(&mut wire, len)?;
        payload.extend(masked_payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key));
    }
    Ok(payload)
}

fn take<'a>(wire: &mut &'a [u8], len: usize) -> io::Result<&'a [u8]> {
    let (taken, rest) = wire.split_at_checked(len).ok_or(io::ErrorKind::UnexpectedEof)?;
    *wire = rest;
    Ok(taken)
}

fn number(bytes: &[u8]) -> usize {
    bytes.iter().fold(0, |number, byte| number << 8 | usize::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_taken_apart_as_they_were_made() {
        for masked in [false, true] {
            let messages = [0, 1, 125, 126, 65_535, 65_536].map(|len| vec![len as u8 ^ 0x5a; len]);
            let mut wire = Vec::new();
            messages.iter().for_each(|message| frame(false, masked, message, &mut wire));
            assert_eq!(payload(false, masked, &wire).unwrap(), messages.concat());
            assert!(payload(true, masked, &wire).is_err(), "the wrong type");
            assert!(payload(false, !masked, &wire).is_err(), "the wrong masking");
            assert!(payload(false, masked, &wire[..wire.len() - 1]).is_err(), "a byte is missing");
        }
    }

    /// RFC 6455 section 5.7.
    #[test]
    fn the_examples_of_the_rfc() {
        let masked = [0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58];
        let mut wire = Vec::new();
        frame(true, true, b"Hello", &mut wire);
        assert_eq!(wire, masked);
        assert_eq!(payload(true, true, &masked).unwrap(), b"Hello");
    }
}
