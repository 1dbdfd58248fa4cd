//! Frames made byte by byte (RFC 6455 section 5.2), independently of the crate.

use fastwebsockets_stream::fastwebsockets::Role;

pub(crate) const CONTINUATION: u8 = 0x0;
pub(crate) const TEXT: u8 = 0x1;
pub(crate) const BINARY: u8 = 0x2;
pub(crate) const CLOSE: u8 = 0x8;
pub(crate) const PING: u8 = 0x9;
pub(crate) const PONG: u8 = 0xa;

/// The key of the frames that a test makes.
const KEY: [u8; 4] = [0x5a, 0x01, 0xc3, 0xff];

/// A frame as it came over the wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) fin: bool,
    pub(crate) opcode: u8,
    pub(crate) masked: bool,
    pub(crate) payload: Vec<u8>,
}

/// The head of a frame with FIN, without a key.
pub(crate) fn head(opcode: u8, len: u64) -> Vec<u8> {
    let mut bytes = vec![0x80 | opcode];
    match len {
        0..=125 => bytes.push(len as u8),
        126..=0xffff => {
            bytes.push(126);
            bytes.extend((len as u16).to_be_bytes());
        }
        _ => {
            bytes.push(127);
            bytes.extend(len.to_be_bytes());
        }
    }
    bytes
}

/// A frame that is not masked.
pub(crate) fn unmasked(opcode: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = head(opcode, payload.len() as u64);
    bytes.extend(payload);
    bytes
}

/// A frame that is masked.
pub(crate) fn masked(opcode: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = masked_head(opcode, payload.len() as u64);
    bytes.extend(payload.iter().zip(KEY.iter().cycle()).map(|(byte, key)| byte ^ key));
    bytes
}

pub(crate) fn masked_head(opcode: u8, len: u64) -> Vec<u8> {
    let mut bytes = head(opcode, len);
    bytes[1] |= 0x80;
    bytes.extend(KEY);
    bytes
}

/// A frame as the peer of `role` sends it.
pub(crate) fn to(role: Role, opcode: u8, payload: &[u8]) -> Vec<u8> {
    match role {
        Role::Server => masked(opcode, payload),
        Role::Client => unmasked(opcode, payload),
    }
}

/// The same without FIN.
pub(crate) fn fragment_to(role: Role, opcode: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = to(role, opcode, payload);
    bytes[0] &= 0x7f;
    bytes
}

/// A head as the peer of `role` sends it.
pub(crate) fn head_to(role: Role, opcode: u8, len: u64) -> Vec<u8> {
    match role {
        Role::Server => masked_head(opcode, len),
        Role::Client => head(opcode, len),
    }
}

/// A Close as the peer of `role` sends it.
pub(crate) fn close_to(role: Role, code: u16, reason: &str) -> Vec<u8> {
    to(role, CLOSE, &close_payload(code, reason))
}

pub(crate) fn close_payload(code: u16, reason: &str) -> Vec<u8> {
    [&code.to_be_bytes(), reason.as_bytes()].concat()
}

/// Takes whole frames apart; panics if the bytes end within one, or a length isn't minimal.
pub(crate) fn parse(bytes: &[u8]) -> Vec<Frame> {
    let (frames, rest) = parse_some(bytes);
    assert!(rest.is_empty(), "{} bytes of an unfinished frame", rest.len());
    frames
}

/// Takes the whole frames from the front; returns what is left.
pub(crate) fn parse_some(mut bytes: &[u8]) -> (Vec<Frame>, &[u8]) {
    let mut frames = Vec::new();
    while let Some((frame, rest)) = parse_one(bytes) {
        frames.push(frame);
        bytes = rest;
    }
    (frames, bytes)
}

fn parse_one(bytes: &[u8]) -> Option<(Frame, &[u8])> {
    let (first, second) = (*bytes.first()?, *bytes.get(1)?);
    assert_eq!(first & 0x70, 0, "reserved bits");
    let (len, rest) = match second & 0x7f {
        126 => (u64::from(u16::from_be_bytes(bytes.get(2..4)?.try_into().unwrap())), &bytes[4..]),
        127 => (u64::from_be_bytes(bytes.get(2..10)?.try_into().unwrap()), &bytes[10..]),
        len => (u64::from(len), &bytes[2..]),
    };
    assert_eq!(head(0, len).len(), bytes.len() - rest.len(), "a length that isn't minimal");
    let len = usize::try_from(len).unwrap();
    let masked = second & 0x80 != 0;
    let (key, rest) = if masked { (rest.get(..4)?, &rest[4..]) } else { (&[0; 4][..], rest) };
    let payload = rest.get(..len)?.iter().zip(key.iter().cycle()).map(|(b, k)| b ^ k).collect();
    let frame = Frame { fin: first & 0x80 != 0, opcode: first & 0x0f, masked, payload };
    Some((frame, &rest[len..]))
}

/// Data frames' payload, one after the other.
pub(crate) fn payload(frames: &[Frame]) -> Vec<u8> {
    let data = frames.iter().filter(|frame| frame.opcode < CLOSE);
    data.flat_map(|frame| frame.payload.clone()).collect()
}
