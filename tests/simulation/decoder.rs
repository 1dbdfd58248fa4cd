//! The decoder on any bytes, cut anywhere, against the reference.
//!
//! After every piece both must agree: on the payload so far, on the pings, and on whether and how it
//! ends. So a violation is noticed with the very byte that makes it one.
//!
//! The decoder is private. Whoever uses this compiles it in, as the module `protocol`.

use super::{
    protocol::{
        close,
        decoder::{Cursor, Decoder, Event},
    },
    reference::{self, Ending, Rules},
};
use fastwebsockets_stream::fastwebsockets::OpCode;

/// The first byte says who masks and what the messages are, the next how many bytes follow that are
/// the lengths of the pieces, in turn. The rest is the peer's.
pub(crate) fn run(input: &[u8]) {
    let [setting, pieces, bytes @ ..] = input else {
        return;
    };
    let (pieces, bytes) = bytes.split_at(bytes.len().min(usize::from(*pieces)));
    let rules = Rules { masks: setting & 1 != 0, text: setting & 2 != 0 };
    check(rules, pieces, bytes);
}

fn check(rules: Rules, pieces: &[u8], bytes: &[u8]) {
    let data = if rules.text { OpCode::Text } else { OpCode::Binary };
    let mut decoder = Decoder::new(rules.masks, data);
    let (mut payload, mut pings, mut end) = (Vec::new(), Vec::new(), None);
    let mut lengths = pieces.iter().map(|len| usize::from(*len) + 1).cycle();
    let mut decoded = 0;
    while decoded < bytes.len() && end.is_none() {
        let len = lengths.next().unwrap_or(bytes.len()).min(bytes.len() - decoded);
        let mut chunk = bytes[decoded..decoded + len].to_vec();
        decoded += len;
        let mut at = Cursor::default();
        while let Some(event) = decoder.decode(&mut chunk, &mut at) {
            assert!(end.is_none(), "nothing comes after the end");
            match event {
                Event::Ping(ping) => pings.push(ping.as_slice().to_vec()),
                Event::Close(close) => {
                    let (code, reason) = close::parse(close.as_slice()).expect("checked before");
                    end = Some(format!("{:?}", Ending::Close(code, reason.to_owned())));
                }
                // The violation of the module that is compiled in isn't that of the crate.
                Event::Violation(violation) => end = Some(format!("Violation({violation:?})")),
            }
        }
        assert_eq!(at.read, chunk.len(), "a chunk is taken whole");
        payload.extend_from_slice(&chunk[..at.write]);

        let meaning = reference::decode(&bytes[..decoded], rules);
        let expected = meaning.end.as_ref().map(|end| format!("{end:?}"));
        assert_eq!(end, expected, "after {decoded} bytes");
        assert_eq!(pings, meaning.pings);
        assert!(meaning.is_delivered_by(&payload), "{payload:x?}, where {meaning:x?}");
        if rules.masks {
            assert!(decoder.head_at_least() <= 6);
        }
    }
}
