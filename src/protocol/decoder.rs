//! From the transport's bytes to the payload's, in place.

use super::{
    MAX_CONTROL_PAYLOAD, close,
    head::{Head, MAX_HEAD, Parsed, is_control},
    mask::Key,
    utf8::{Utf8, ValidUpTo},
    violation::Violation,
};
use fastwebsockets::OpCode;

/// A frame of this size is worth some care that it needn't be moved over its head.
const LARGE_FRAME: u64 = 8192;

/// Turns the bytes of frames into the bytes of their payload.
///
/// Heads, control frames and whatever of them has come so far stay in here; payload is moved to
/// the front of the slice that it came in, unmasked.
pub(crate) struct Decoder {
    /// Bytes of payload that the current data frame still has to bring.
    remaining: u64,
    /// Data frames that have begun, and control frames that have come whole.
    frames: u64,
    control_frames: u64,
    /// The bytes of its head, if it was a large one; otherwise 0.
    large_head: u8,
    /// Its masking key, turned to the next byte.
    key: Key,
    /// Whether the peer has to mask.
    masked: bool,
    /// Whether the current message goes on after the current frame.
    message_open: bool,
    /// Whether a Close or a violation has come: nothing after it counts.
    finished: bool,
    /// The opcode that messages must have.
    data: OpCode,
    /// How far the current message is valid UTF-8; stays untouched on a Binary stream.
    text: Utf8,
    /// The start of a head that is not complete.
    stash: Stash,
    /// The control frame that is not complete; rare enough to be no part of every stream.
    control: Option<Box<Control>>,
}

struct Stash {
    len: u8,
    bytes: [u8; MAX_HEAD],
}

/// A control frame of which the head and a part of the payload have come.
struct Control {
    head: Head,
    payload: ControlPayload,
}

/// Where decoding stands in a chunk: `chunk[..write]` is payload, `chunk[read..]` isn't decoded.
#[derive(Default)]
pub(crate) struct Cursor {
    pub(crate) read: usize,
    pub(crate) write: usize,
}

/// What the peer sent beside payload.
pub(crate) enum Event {
    Ping(ControlPayload),
    Close(ControlPayload),
    Violation(Violation),
}

/// The payload of a control frame, unmasked.
pub(crate) struct ControlPayload {
    len: u8,
    bytes: [u8; MAX_CONTROL_PAYLOAD],
}

impl ControlPayload {
    /// Copies at most 125 bytes of `payload`.
    pub(crate) fn new(payload: &[u8]) -> Self {
        let mut new = Self { len: 0, bytes: [0; MAX_CONTROL_PAYLOAD] };
        new.append(&payload[..payload.len().min(MAX_CONTROL_PAYLOAD)]);
        new
    }

    fn append(&mut self, bytes: &[u8]) {
        let start = usize::from(self.len);
        self.bytes[start..start + bytes.len()].copy_from_slice(bytes);
        self.len += bytes.len() as u8;
    }

    pub(crate) fn as_slice(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}

impl Stash {
    fn as_slice(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }

    /// Takes bytes from the chunk until `len` are there. Returns whether they are.
    fn fill(&mut self, len: usize, chunk: &[u8], at: &mut Cursor) -> bool {
        let have = usize::from(self.len);
        let taken = (len - have).min(chunk.len() - at.read);
        self.bytes[have..have + taken].copy_from_slice(&chunk[at.read..at.read + taken]);
        self.len += taken as u8;
        at.read += taken;
        have + taken == len
    }
}

impl Decoder {
    /// `masked`: whether the peer has to mask; `data`: the opcode that messages must have.
    pub(crate) fn new(masked: bool, data: OpCode) -> Self {
        Self {
            remaining: 0,
            frames: 0,
            control_frames: 0,
            large_head: 0,
            key: Key::default(),
            masked,
            message_open: false,
            finished: false,
            data,
            text: Utf8::default(),
            stash: Stash { len: 0, bytes: [0; MAX_HEAD] },
            control: None,
        }
    }

    /// Decodes `chunk[at.read..]` up to its end or to the next event, whichever comes first.
    pub(crate) fn decode(&mut self, chunk: &mut [u8], at: &mut Cursor) -> Option<Event> {
        while at.read < chunk.len() && !self.finished {
            if self.is_at_message() && self.small_message(chunk, at) {
                continue;
            }
            let step = if self.remaining > 0 {
                self.payload(chunk, at).map(|()| None)
            } else if self.control.is_some() {
                self.rest_of_control(chunk, at)
            } else {
                self.frame(chunk, at)
            };
            match step {
                Ok(None) => {}
                Ok(event) => return event,
                Err(violation) => {
                    self.finished = true;
                    return Some(Event::Violation(violation));
                }
            }
        }
        if self.finished {
            at.read = chunk.len();
        }
        None
    }

    /// Data frames that have begun.
    pub(crate) fn frames(&self) -> u64 {
        self.frames
    }

    /// Control frames that have come whole.
    pub(crate) fn control_frames(&self) -> u64 {
        self.control_frames
    }

    /// Bytes of payload that the current frame still has to bring.
    #[inline]
    pub(crate) fn remaining(&self) -> u64 {
        self.remaining
    }

    /// Bytes to read before anything else, where a large frame is about to begin or to end: then the
    /// next one's payload comes to lie where it should, and needn't be moved over its head.
    #[inline]
    pub(crate) fn read_first(&self) -> Option<usize> {
        let head = usize::from(self.large_head);
        let stashed = usize::from(self.stash.len);
        match self.remaining {
            _ if head == 0 || self.control.is_some() => None,
            // Large frames come in a row, with heads of the same size. With a 64-bit length, they
            // are worth a read of the transport that brings the head only.
            0 if head >= MAX_HEAD - 4 && stashed < head => Some(head - stashed),
            0 => None,
            // What a reader's buffer lacked because of the heads before.
            rest if rest <= 4 * MAX_HEAD as u64 => Some(rest as usize + MAX_HEAD),
            _ => None,
        }
    }

    /// The least bytes that can come before the next byte of payload.
    #[inline]
    pub(crate) fn head_at_least(&self) -> usize {
        let head = if self.masked { 6 } else { 2 };
        head - usize::from(self.stash.len).min(head)
    }

    /// Whether the bytes so far end between two messages.
    pub(crate) fn is_between_messages(&self) -> bool {
        self.remaining == 0 && self.stash.len == 0 && self.control.is_none() && !self.message_open
    }

    /// The short way for a chunk from the middle of a Binary frame: all of it is payload, and stays
    /// where it is. Returns whether it was that.
    #[inline]
    pub(crate) fn only_payload(&mut self, chunk: &mut [u8]) -> bool {
        if self.remaining <= chunk.len() as u64 || self.data != OpCode::Binary {
            return false;
        }
        if self.masked {
            self.key.apply(chunk);
            self.key = self.key.after(chunk.len());
        }
        self.remaining -= chunk.len() as u64;
        true
    }

    /// Whether a Binary message may begin here.
    #[inline]
    fn is_at_message(&self) -> bool {
        self.data == OpCode::Binary && self.is_between_messages()
    }

    /// The short way for the frame that most streams of small messages consist of: a whole message
    /// that is all here. Returns whether it was one; anything else, also whatever is wrong with it,
    /// is for those who look closer.
    #[inline]
    fn small_message(&mut self, chunk: &mut [u8], at: &mut Cursor) -> bool {
        let Some(head) = chunk[at.read..].first_chunk::<8>() else {
            return false;
        };
        let mask = if self.masked { 0x80 } else { 0 };
        if head[0] != 0x80 | OpCode::Binary as u8 || head[1] & 0x80 != mask {
            return false;
        }
        let (len, size) = match head[1] & 0x7f {
            126 => (usize::from(u16::from_be_bytes([head[2], head[3]])), 4),
            127 => return false,
            len => (usize::from(len), 2),
        };
        if size == 4 && len < 126 || len as u64 >= LARGE_FRAME {
            return false;
        }
        let from = at.read + size + if self.masked { 4 } else { 0 };
        if from + len > chunk.len() {
            return false;
        }
        if self.masked {
            let key = if size == 2 { [2, 3, 4, 5] } else { [4, 5, 6, 7] }.map(|i: usize| head[i]);
            Key::new(key).shift(chunk, from, at.write, len);
        } else {
            chunk.copy_within(from..from + len, at.write);
        }
        self.large_head = 0;
        self.frames += 1;
        at.read = from + len;
        at.write += len;
        true
    }

    /// Payload of the current data frame.
    fn payload(&mut self, chunk: &mut [u8], at: &mut Cursor) -> Result<(), Violation> {
        let here = chunk.len() - at.read;
        let len = usize::try_from(self.remaining).map_or(here, |remaining| remaining.min(here));
        match (self.masked, at.read == at.write) {
            (true, true) => self.key.apply(&mut chunk[at.read..at.read + len]),
            (true, false) => self.key.shift(chunk, at.read, at.write, len),
            (false, true) => {}
            (false, false) => chunk.copy_within(at.read..at.read + len, at.write),
        }
        self.key = self.key.after(len);
        self.remaining -= len as u64;
        at.read += len;
        if self.data == OpCode::Text {
            let piece = &chunk[at.write..at.write + len];
            if let Err(ValidUpTo(valid)) = self.text.push(piece) {
                at.write += valid;
                return Err(Violation::InvalidUtf8);
            }
        }
        at.write += len;
        if self.remaining == 0 { self.end_frame() } else { Ok(()) }
    }

    /// The start of a frame; of a control frame that is all here, the whole.
    fn frame(&mut self, chunk: &[u8], at: &mut Cursor) -> Result<Option<Event>, Violation> {
        let Some(head) = self.head(chunk, at)? else {
            return Ok(None);
        };
        if !is_control(head.opcode) {
            self.start_frame(&head)?;
            return Ok(None);
        }
        let here = &chunk[at.read..];
        let len = head.len as usize;
        if len <= here.len() {
            at.read += len;
            return self.control(&head, ControlPayload::new(&here[..len]));
        }
        at.read = chunk.len();
        self.control = Some(Box::new(Control { head, payload: ControlPayload::new(here) }));
        Ok(None)
    }

    /// The head that starts here, or started in an earlier chunk; `None` if it isn't complete.
    fn head(&mut self, chunk: &[u8], at: &mut Cursor) -> Result<Option<Head>, Violation> {
        if self.stash.len == 0 {
            let here = &chunk[at.read..];
            if let Parsed::Complete(head, size) = Head::parse(here, self.masked)? {
                at.read += size;
                return Ok(Some(head));
            }
        }
        loop {
            match Head::parse(self.stash.as_slice(), self.masked)? {
                Parsed::Complete(head, _) => {
                    self.stash.len = 0;
                    return Ok(Some(head));
                }
                Parsed::Incomplete(len) => {
                    if !self.stash.fill(len, chunk, at) {
                        // What has come may be wrong already.
                        Head::parse(self.stash.as_slice(), self.masked)?;
                        return Ok(None);
                    }
                }
            }
        }
    }

    /// The control frame that started in an earlier chunk.
    fn rest_of_control(
        &mut self,
        chunk: &[u8],
        at: &mut Cursor,
    ) -> Result<Option<Event>, Violation> {
        let Some(mut control) = self.control.take() else {
            return Ok(None);
        };
        let here = &chunk[at.read..];
        let missing = control.head.len as usize - control.payload.as_slice().len();
        let taken = missing.min(here.len());
        control.payload.append(&here[..taken]);
        at.read += taken;
        if taken < missing {
            self.control = Some(control);
            return Ok(None);
        }
        self.control(&control.head, control.payload)
    }

    /// The fragmentation rules (RFC 6455 section 5.4).
    fn start_frame(&mut self, head: &Head) -> Result<(), Violation> {
        match (head.opcode == OpCode::Continuation, self.message_open) {
            (true, false) => return Err(Violation::UnexpectedContinuation),
            (false, true) => return Err(Violation::UnfinishedMessage),
            (false, false) if head.opcode != self.data => return Err(Violation::WrongPayloadType),
            _ => {}
        }
        self.frames += 1;
        self.message_open = !head.fin;
        self.remaining = head.len;
        self.large_head = if head.len < LARGE_FRAME { 0 } else { head.size() as u8 };
        self.key = head.key.unwrap_or_default();
        if head.len == 0 { self.end_frame() } else { Ok(()) }
    }

    fn end_frame(&self) -> Result<(), Violation> {
        if !self.message_open && !self.text.is_complete() {
            return Err(Violation::InvalidUtf8);
        }
        Ok(())
    }

    /// A whole control frame.
    fn control(
        &mut self,
        head: &Head,
        mut payload: ControlPayload,
    ) -> Result<Option<Event>, Violation> {
        self.control_frames += 1;
        // Nobody is to make every read as small as a head by control frames.
        self.large_head = 0;
        if let Some(key) = head.key {
            key.apply(&mut payload.bytes[..usize::from(payload.len)]);
        }
        Ok(match head.opcode {
            OpCode::Ping => Some(Event::Ping(payload)),
            OpCode::Close => {
                close::parse(payload.as_slice())?;
                self.finished = true;
                Some(Event::Close(payload))
            }
            _ => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds `pieces` one after the other; returns the payload, and the events in words.
    fn decode(mut decoder: Decoder, pieces: &[&[u8]]) -> (Vec<u8>, Vec<String>) {
        let (mut payload, mut events) = (Vec::new(), Vec::new());
        for piece in pieces {
            let mut chunk = piece.to_vec();
            let mut at = Cursor::default();
            while let Some(event) = decoder.decode(&mut chunk, &mut at) {
                events.push(match event {
                    Event::Ping(ping) => format!("ping {:?}", ping.as_slice()),
                    Event::Close(close) => format!("close {:?}", close.as_slice()),
                    Event::Violation(violation) => format!("{violation:?}"),
                });
            }
            assert_eq!(at.read, chunk.len(), "a chunk is taken whole");
            payload.extend_from_slice(&chunk[..at.write]);
        }
        (payload, events)
    }

    fn binary() -> Decoder {
        Decoder::new(false, OpCode::Binary)
    }

    const MESSAGE: &[u8] =
        b"\x02\x03abc\x89\x02hi\x00\x00\x80\x01d\x8a\x00\x82\x02ef\x88\x02\x03\xe8\x82\x01x";

    #[test]
    fn payload_is_all_that_remains_of_frames() {
        let (payload, events) = decode(binary(), &[MESSAGE]);
        assert_eq!(payload, b"abcdef");
        assert_eq!(events, ["ping [104, 105]", "close [3, 232]"]);
    }

    #[test]
    fn cuts_make_no_difference() {
        let whole = decode(binary(), &[MESSAGE]);
        for first in 0..=MESSAGE.len() {
            for second in first..=MESSAGE.len() {
                let pieces = [&MESSAGE[..first], &MESSAGE[first..second], &MESSAGE[second..]];
                assert_eq!(decode(binary(), &pieces), whole, "cut at {first} and {second}");
            }
        }
        let bytes: Vec<&[u8]> = MESSAGE.chunks(1).collect();
        assert_eq!(decode(binary(), &bytes), whole, "byte by byte");
    }

    #[test]
    fn a_cut_masked_frame_is_unmasked_throughout() {
        let key = [7, 77, 177, 207];
        let mut frame = vec![0x82, 0x80 | 100, key[0], key[1], key[2], key[3]];
        frame.extend((0..100u8).map(|i| i ^ key[usize::from(i % 4)]));
        let expected: Vec<u8> = (0..100).collect();
        for cut in 0..=frame.len() {
            let decoder = Decoder::new(true, OpCode::Binary);
            let (payload, events) = decode(decoder, &[&frame[..cut], &frame[cut..]]);
            assert_eq!((payload, events.len()), (expected.clone(), 0), "cut at {cut}");
        }
    }

    #[test]
    fn a_violation_is_known_from_its_first_byte_on() {
        for (bytes, violation) in [
            (&b"\xc2"[..], "ReservedBits"),
            (b"\x83", "ReservedOpcode"),
            (b"\x09", "FragmentedControl"),
            (b"\x89\x7e", "ControlTooLong"),
            (b"\x82\x80", "MaskedFrame"),
            (b"\x80\x00", "UnexpectedContinuation"),
            (b"\x00\x00", "UnexpectedContinuation"),
            (b"\x82\x7e\x00\x7d", "LengthNotMinimal"),
            (b"\x82\x7f\x00\x00\x00\x00\x00\x00\xff\xff", "LengthNotMinimal"),
            (b"\x82\x7f\x80\x00\x00\x00\x00\x00\x00\x00", "LengthTooLarge"),
            (b"\x81\x00", "WrongPayloadType"),
            (b"\x02\x00\x82\x00", "UnfinishedMessage"),
            (b"\x88\x01\x03", "CloseTooShort"),
        ] {
            let (_, events) = decode(binary(), &[bytes]);
            assert_eq!(events, [violation], "{bytes:x?}");
            let single: Vec<&[u8]> = bytes.chunks(1).collect();
            assert_eq!(decode(binary(), &single).1, [violation], "{bytes:x?} byte by byte");
            let (_, events) = decode(binary(), &[&bytes[..bytes.len() - 1]]);
            assert_eq!(events, [""; 0], "{bytes:x?} without its last byte");
            // What follows makes a whole message of some of them.
            let more = [bytes, &[0; 200]].concat();
            assert_eq!(decode(binary(), &[&more]).1, [violation], "{bytes:x?} and more");
        }
    }

    fn feed(decoder: &mut Decoder, bytes: &[u8]) {
        let mut at = Cursor::default();
        decoder.decode(&mut bytes.to_vec(), &mut at);
        assert_eq!(at.read, bytes.len());
    }

    /// Payload of a frame whose length takes 64 bits.
    const LARGE: usize = 70_000;

    const LARGE_HEAD: [u8; 10] = [0x82, 127, 0, 0, 0, 0, 0, 1, 0x11, 0x70];

    #[test]
    fn a_read_stops_at_the_head_of_a_large_frame_if_the_last_one_was_large() {
        let mut decoder = binary();
        assert_eq!(decoder.read_first(), None);
        feed(&mut decoder, &LARGE_HEAD);
        assert_eq!(decoder.read_first(), None, "there is much to come");
        feed(&mut decoder, &vec![0; LARGE - 57]);
        assert_eq!(decoder.read_first(), None);
        feed(&mut decoder, &[0]);
        assert_eq!(decoder.read_first(), Some(56 + MAX_HEAD), "the rest and any head");
        feed(&mut decoder, &[0; 56]);
        assert_eq!(decoder.read_first(), Some(10), "a head of the same size");
        feed(&mut decoder, &LARGE_HEAD[..3]);
        assert_eq!(decoder.read_first(), Some(7));
        feed(&mut decoder, &LARGE_HEAD[3..]);
        feed(&mut decoder, &vec![0; LARGE]);
        feed(&mut decoder, b"\x89\x02h");
        assert_eq!(decoder.read_first(), None, "a control frame");
        feed(&mut decoder, b"i");
        assert_eq!(decoder.read_first(), None, "it was the last one");

        feed(&mut decoder, b"\x82\x05ab");
        assert_eq!(decoder.read_first(), None, "a small frame");
        feed(&mut decoder, b"cde");
        feed(&mut decoder, b"\x82\x7e\x20\x00");
        feed(&mut decoder, &[0; 8192 - 56]);
        assert_eq!(decoder.read_first(), Some(56 + MAX_HEAD));
        feed(&mut decoder, &[0; 56]);
        assert_eq!(decoder.read_first(), None, "a short head is not worth a read");
    }

    #[test]
    fn the_middle_of_a_binary_frame_is_payload_only() {
        let mut decoder = binary();
        assert!(!decoder.only_payload(&mut [0; 4]));
        feed(&mut decoder, &LARGE_HEAD);
        assert!(decoder.only_payload(&mut [0; LARGE - 1]));
        assert_eq!(decoder.remaining(), 1);
        assert!(!decoder.only_payload(&mut [0]), "the frame ends there");
        feed(&mut decoder, &[0]);
        assert!(decoder.is_between_messages());

        let mut text = Decoder::new(false, OpCode::Text);
        feed(&mut text, b"\x81\x09");
        assert!(!text.only_payload(&mut [0; 4]), "it has to be checked");
    }

    #[test]
    fn a_small_message_that_is_all_here_takes_the_short_way() {
        for masked in [false, true] {
            let mask = if masked { 0x80 } else { 0 };
            for (len, shortest) in
                [(8, true), (125, true), (125, false), (126, false), (8191, false)]
            {
                let len16 = u16::try_from(len).unwrap().to_be_bytes();
                let mut frame = if shortest {
                    vec![0x82, mask | len16[1]]
                } else {
                    vec![0x82, mask | 126, len16[0], len16[1]]
                };
                frame.extend([0; 4].iter().take(if masked { 4 } else { 0 }));
                frame.extend(vec![7; len]);
                let all = frame.len();
                let mut decoder = Decoder::new(masked, OpCode::Binary);
                let takes = shortest || len >= 126;
                for (bytes, expected) in [(all, takes), (all - 1, false), (all + 9, takes)] {
                    frame.resize(bytes, 0);
                    let mut at = Cursor::default();
                    assert_eq!(decoder.small_message(&mut frame.clone(), &mut at), expected);
                    assert_eq!(at.read, if expected { all } else { 0 }, "{len} of {bytes}");
                    assert_eq!(at.write, if expected { len } else { 0 });
                }
            }
        }
        let mut large = [&b"\x82\x7e\x20\x00"[..], &[0; 8192]].concat();
        assert!(!binary().small_message(&mut large, &mut Cursor::default()));
    }

    #[test]
    fn bad_text_is_noticed_at_its_first_bad_byte() {
        let text = || Decoder::new(false, OpCode::Text);
        assert_eq!(
            decode(text(), &[b"\x81\x7e\x01\x00ok\xed", b"\xa0"]),
            (b"ok\xed".to_vec(), vec!["InvalidUtf8".to_owned()])
        );
        assert_eq!(decode(text(), &[b"\x01\x01\xe2\x80\x02\x82\xac"]).1, [""; 0]);
        assert_eq!(decode(text(), &[b"\x01\x01\xe2\x80\x01\x82"]).1, ["InvalidUtf8"]);
        assert_eq!(decode(text(), &[b"\x01\x01\xe2\x80\x00"]).1, ["InvalidUtf8"]);
    }
}
