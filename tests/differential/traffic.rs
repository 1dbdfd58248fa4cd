//! Random traffic that RFC 6455 allows, frame by frame.

use crate::common::frames::{self, CLOSE, CONTINUATION, PING, PONG};
use fastwebsockets_stream::{PayloadType, fastwebsockets::Role};
use rand::{Rng, rngs::StdRng, seq::SliceRandom};

/// Close codes that may be sent (RFC 6455 section 7.4), and that all the peers know.
const CODES: [u16; 12] = [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 3000, 4999];

/// Code points of each width, and those at the edges of the ranges.
const CHARS: [char; 12] = [
    'a',
    '\u{0}',
    '\u{7f}',
    '\u{80}',
    '\u{7ff}',
    '\u{800}',
    '\u{d7ff}',
    '\u{e000}',
    '\u{ffff}',
    '\u{10000}',
    '😀',
    '\u{10ffff}',
];

/// The frames that the peer of `role` sends: messages in any number of fragments, control frames
/// before, between and after them, and at the end a Close or none.
pub(crate) fn valid(
    rng: &mut StdRng,
    role: Role,
    payload_type: PayloadType,
    messages: usize,
    largest: usize,
) -> Vec<Vec<u8>> {
    let opcode = crate::opcode_of(payload_type);
    let mut sent = Vec::new();
    for _ in 0..rng.gen_range(0..=messages) {
        let payload = content(rng, payload_type, largest);
        let fragments = pieces(rng, &payload);
        let last = fragments.len() - 1;
        for (i, fragment) in fragments.into_iter().enumerate() {
            control_frames(rng, role, &mut sent);
            let opcode = if i == 0 { opcode } else { CONTINUATION };
            sent.push(encode(rng, role, i == last, opcode, fragment));
        }
    }
    control_frames(rng, role, &mut sent);
    if rng.gen_bool(0.8) {
        let payload = close_payload(rng);
        sent.push(encode(rng, role, true, CLOSE, &payload));
    }
    sent
}

/// The payload of a message: often small, sometimes around the borders of the lengths' encodings.
pub(crate) fn content(rng: &mut StdRng, payload_type: PayloadType, largest: usize) -> Vec<u8> {
    let len = size(rng, largest);
    match payload_type {
        PayloadType::Binary => (0..len).map(|_| rng.r#gen()).collect(),
        PayloadType::Text => {
            let (mut text, mut code_point) = (Vec::with_capacity(len), [0; 4]);
            while text.len() < len {
                let code_point = CHARS.choose(rng).unwrap().encode_utf8(&mut code_point);
                let fits = text.len() + code_point.len() <= len;
                text.extend_from_slice(if fits { code_point.as_bytes() } else { b"." });
            }
            text
        }
    }
}

pub(crate) fn size(rng: &mut StdRng, largest: usize) -> usize {
    let size = match rng.gen_range(0..20) {
        0 | 1 => 0,
        2..=10 => rng.gen_range(1..64),
        11..=13 => rng.gen_range(120..132),
        14..=17 => rng.gen_range(128..5_000),
        18 if rng.gen_bool(0.5) => rng.gen_range(65_500..65_600),
        18 => rng.gen_range(66_500..66_600),
        _ => rng.gen_range(0..=largest),
    };
    size.min(largest)
}

/// Cuts bytes into one or more pieces, anywhere; some may be empty.
pub(crate) fn pieces<'a>(rng: &mut StdRng, bytes: &'a [u8]) -> Vec<&'a [u8]> {
    let mut cuts = Vec::new();
    if rng.gen_bool(0.6) {
        cuts = (0..rng.gen_range(0..6)).map(|_| rng.gen_range(0..=bytes.len())).collect();
        cuts.sort_unstable();
    }
    cuts.push(bytes.len());
    let mut start = 0;
    cuts.into_iter()
        .map(|end| {
            let piece = &bytes[start..end];
            start = end;
            piece
        })
        .collect()
}

/// How the transport cuts the bytes: all at once, byte by byte, or anyhow.
pub(crate) fn packets<'a>(rng: &mut StdRng, bytes: &'a [u8]) -> Vec<&'a [u8]> {
    match rng.gen_range(0..6) {
        0 => vec![bytes],
        1 if bytes.len() < 1_000 => bytes.chunks(1).collect(),
        _ => {
            let (mut rest, mut packets) = (bytes, Vec::new());
            while !rest.is_empty() {
                let most = *[3, 20, 200, 4_000, 70_000].choose(rng).unwrap();
                let (packet, others) = rest.split_at(rng.gen_range(1..=most.min(rest.len())));
                packets.push(packet);
                rest = others;
            }
            packets
        }
    }
}

fn control_frames(rng: &mut StdRng, role: Role, sent: &mut Vec<Vec<u8>>) {
    while rng.gen_bool(0.2) {
        let len = *[0, 1, 4, 60, 124, 125].choose(rng).unwrap();
        let payload: Vec<u8> = (0..len).map(|_| rng.r#gen()).collect();
        let opcode = *[PING, PONG].choose(rng).unwrap();
        sent.push(encode(rng, role, true, opcode, &payload));
    }
}

fn close_payload(rng: &mut StdRng) -> Vec<u8> {
    let longest = "r".repeat(123);
    let reason = *["", "done", "é€😀", &longest].choose(rng).unwrap();
    match rng.gen_range(0..6) {
        0 => Vec::new(),
        _ => frames::close_payload(*CODES.choose(rng).unwrap(), reason),
    }
}

/// One frame, with a key of its own if the peer of `role` has to mask.
fn encode(rng: &mut StdRng, role: Role, fin: bool, opcode: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = frames::head(opcode, payload.len() as u64);
    if !fin {
        bytes[0] &= 0x7f;
    }
    match role {
        Role::Client => bytes.extend(payload),
        Role::Server => {
            let key: [u8; 4] = rng.r#gen();
            bytes[1] |= 0x80;
            bytes.extend(key);
            bytes.extend(payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key));
        }
    }
    bytes
}
