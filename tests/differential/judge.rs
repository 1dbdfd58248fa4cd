//! What RFC 6455 says about the bytes of a peer, read slowly and all at once, and where the
//! implementations depart from it.

use crate::common::frames::{BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT};
use fastwebsockets_stream::{PayloadType, fastwebsockets::Role};

/// The longest frame that the peers take. Ours has no limit, because it allocates nothing for it.
pub(crate) const LIMIT: usize = 4 << 20;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Implementation {
    Ours,
    Tungstenite,
    TokioWebsockets,
}

use Implementation::{Ours, TokioWebsockets, Tungstenite};

/// Where an implementation does something else than the plain reading below.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Departure {
    /// A stream has one type of messages; others are refused with a Close 1003 (section 7.4.1
    /// has that code for it). The RFC leaves that to the application.
    OneType,
    /// Payload is given out as it comes, not message by message: "no truncated stream that looks
    /// complete" is then the matter of how it ends. Section 5.4 leaves it open.
    StreamsPayload,
    /// A head is looked at when its first two bytes are there, not one. Seen only where the
    /// transport ends between the two. Section 7.1.7 doesn't say how soon: both are right.
    WaitsForTwoBytes,
    /// Whether a continuation has a message to continue, and whether a Close has one byte, is
    /// known by the first two bytes, and said then. Ours says it when the head or the Close is
    /// whole; seen only where the transport ends before. Both are right.
    ChecksOrderEarly,
    /// A frame is looked at when it is whole, text included. Seen where the transport ends before;
    /// it makes a violation look like a lost connection. Section 7.1.7 doesn't say how soon.
    WaitsForFrame,
    /// Frames above a limit are refused. Section 10.4 advises limits, to those that allocate.
    LimitsFrames,
    /// A length may be longer than necessary, or have its top bit set. Section 5.2: "the minimal
    /// number of bytes MUST be used", "the most significant bit MUST be 0". Ours is right.
    TakesLongLengths,
    /// A Close with a code that may not be sent is a Close like others; 1002 is said instead.
    /// Section 7.4: such codes "MUST NOT be set as a status code". Ours is right to fail.
    TakesBadCloseCodes,
    /// 1014 is taken for a code that may not be sent. IANA's registry has it. Ours is right.
    RefusesCode1014,
    /// A Close's reason is looked at before its code, so that the error is another one when both
    /// are bad. Both are right.
    ReasonBeforeCode,
    /// Whether a text ends in the middle of a code point isn't checked when its last fragment is
    /// empty; the next text goes on with it. Section 8.1: the endpoint MUST fail. Ours is right.
    SkipsEmptyEndOfText,
    /// No Close is sent when the peer has broken the protocol. Section 7.1.7: it SHOULD. Ours is
    /// right; there the application has to.
    SilentAboutErrors,
}

use Departure::*;

/// All differences that there are.
pub(crate) const DEPARTURES: [(Implementation, Departure); 13] = [
    (Ours, OneType),
    (Ours, StreamsPayload),
    (Tungstenite, WaitsForFrame),
    (Tungstenite, LimitsFrames),
    (Tungstenite, TakesLongLengths),
    (Tungstenite, TakesBadCloseCodes),
    (Tungstenite, RefusesCode1014),
    (Tungstenite, ReasonBeforeCode),
    (Tungstenite, SilentAboutErrors),
    (TokioWebsockets, WaitsForTwoBytes),
    (TokioWebsockets, ChecksOrderEarly),
    (TokioWebsockets, LimitsFrames),
    (TokioWebsockets, SkipsEmptyEndOfText),
];

/// How a stream ended for its reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// By a Close, with this code.
    Closed(Option<u16>),
    /// By a violation.
    Failed(Fault),
    /// By the end of the transport.
    Truncated,
}

/// What a violation is, as far as all implementations tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    Protocol,
    Utf8,
    /// A message of the other type than the stream's.
    Type,
    TooLong,
}

impl Fault {
    /// Section 7.4.1.
    fn code(self) -> u16 {
        match self {
            Fault::Protocol => 1002,
            Fault::Type => 1003,
            Fault::Utf8 => 1007,
            Fault::TooLong => 1009,
        }
    }
}

/// What an implementation makes of a peer's bytes.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub(crate) payload: Vec<u8>,
    pub(crate) end: End,
    /// The payloads of the pongs that it sends.
    pub(crate) pongs: Vec<Vec<u8>>,
    /// The code of the Close that it sends, if it sends one.
    pub(crate) close: Option<Option<u16>>,
}

/// Reads the bytes as RFC 6455 has it, with these departures.
pub(crate) struct Judge<'a> {
    pub(crate) departures: Vec<Departure>,
    pub(crate) role: Role,
    pub(crate) payload_type: PayloadType,
    bytes: &'a [u8],
    /// The opcode of the message that isn't finished.
    message: Option<u8>,
    /// The start of a code point that the text so far ends with.
    code_point: Vec<u8>,
    payload: Vec<u8>,
    /// How much of it is in whole messages.
    whole: usize,
    pongs: Vec<Vec<u8>>,
}

impl<'a> Judge<'a> {
    pub(crate) fn new(
        implementation: Implementation,
        role: Role,
        payload_type: PayloadType,
        bytes: &'a [u8],
    ) -> Self {
        let departures = DEPARTURES.iter().filter(|(who, _)| *who == implementation);
        Self {
            departures: departures.map(|(_, departure)| *departure).collect(),
            role,
            payload_type,
            bytes,
            message: None,
            code_point: Vec::new(),
            payload: Vec::new(),
            whole: 0,
            pongs: Vec::new(),
        }
    }

    pub(crate) fn verdict(mut self) -> Outcome {
        let end = loop {
            if let Err(end) = self.frame() {
                break end;
            }
        };
        let close = match end {
            End::Closed(code) => Some(code),
            End::Failed(fault) => (!self.departs(SilentAboutErrors)).then(|| Some(fault.code())),
            End::Truncated => None,
        };
        if !self.departs(StreamsPayload) {
            self.payload.truncate(self.whole);
        }
        Outcome { payload: self.payload, end, pongs: self.pongs, close }
    }

    fn departs(&self, departure: Departure) -> bool {
        self.departures.contains(&departure)
    }

    /// One frame (section 5.2).
    fn frame(&mut self) -> Result<(), End> {
        let bytes = self.bytes;
        let need = |len: usize| bytes.get(..len).ok_or(End::Truncated);
        let when_whole = self.departs(WaitsForFrame);

        let first = need(1)?[0];
        if !when_whole && !self.departs(WaitsForTwoBytes) {
            check_first(first)?;
        }
        let second = need(2)?[1];
        if !when_whole {
            check_first(first)?;
            // The 126 and 127 of the longer forms are enough to know.
            self.check_second(first, second, u64::from(second & 0x7f))?;
        }
        if self.departs(ChecksOrderEarly) {
            self.check_order(first)?;
            if first & 0x0f == CLOSE && second & 0x7f == 1 {
                return Err(protocol());
            }
        }

        let (len, size) = match second & 0x7f {
            126 => (u64::from(u16::from_be_bytes(need(4)?[2..].try_into().unwrap())), 4),
            127 => (u64::from_be_bytes(need(10)?[2..].try_into().unwrap()), 10),
            len => (u64::from(len), 2),
        };
        if !self.departs(TakesLongLengths) {
            let minimal = match len {
                0..=125 => 2,
                126..=0xffff => 4,
                _ => 10,
            };
            let too_large = len >> 63 != 0 && !self.departs(LimitsFrames);
            if size != minimal || too_large {
                return Err(protocol());
            }
        }
        let too_long = self.departs(LimitsFrames) && len > LIMIT as u64;
        if too_long && !when_whole {
            return Err(End::Failed(Fault::TooLong));
        }
        let size = if second & 0x80 == 0 { size } else { size + 4 };
        let head = need(size)?;
        if when_whole {
            check_opcode(first)?;
            if too_long {
                return Err(End::Failed(Fault::TooLong));
            }
        }

        let rest = bytes.len() - size;
        let here = usize::try_from(len).map_or(rest, |len| len.min(rest));
        let payload = &bytes[size..size + here];
        let is_whole = here as u64 == len;
        if when_whole {
            if !is_whole {
                return Err(End::Truncated);
            }
            check_first(first)?;
            self.check_second(first, second, len)?;
        }
        let key = if self.role == Role::Server { &head[size - 4..] } else { &[0; 4] };
        let payload: Vec<u8> =
            payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key).collect();
        self.bytes = &bytes[size + here..];

        if first & 0x0f >= CLOSE {
            return if is_whole {
                self.control(first & 0x0f, payload)
            } else {
                Err(End::Truncated)
            };
        }
        self.data(first, &payload, is_whole)
    }

    /// Masking (section 5.1), and the lengths of control frames (section 5.5).
    fn check_second(&self, first: u8, second: u8, len: u64) -> Result<(), End> {
        let is_masked = second & 0x80 != 0;
        let is_control = first & 0x0f >= CLOSE;
        if is_masked != (self.role == Role::Server) || is_control && len > 125 {
            return Err(protocol());
        }
        Ok(())
    }

    /// Fragmentation (section 5.4).
    fn check_order(&self, first: u8) -> Result<(), End> {
        let opcode = first & 0x0f;
        if opcode < CLOSE && (opcode == CONTINUATION) != self.message.is_some() {
            return Err(protocol());
        }
        Ok(())
    }

    fn data(&mut self, first: u8, payload: &[u8], is_whole: bool) -> Result<(), End> {
        self.check_order(first)?;
        let opcode = self.message.unwrap_or(first & 0x0f);
        if opcode != crate::opcode_of(self.payload_type) && self.departs(OneType) {
            return Err(End::Failed(Fault::Type));
        }
        let is_last = first & 0x80 != 0;
        self.message = (!is_last).then_some(opcode);
        if opcode == TEXT {
            self.text(payload)?;
        } else {
            self.payload.extend(payload);
        }
        if !is_whole {
            return Err(End::Truncated);
        }
        if is_last {
            let skips = payload.is_empty() && self.departs(SkipsEmptyEndOfText);
            if opcode == TEXT && !self.code_point.is_empty() && !skips {
                return Err(End::Failed(Fault::Utf8));
            }
            self.whole = self.payload.len();
        }
        Ok(())
    }

    /// Text (section 8.1), as it comes: up to the first byte that can't be right.
    fn text(&mut self, payload: &[u8]) -> Result<(), End> {
        for (i, byte) in payload.iter().enumerate() {
            self.code_point.push(*byte);
            match std::str::from_utf8(&self.code_point) {
                Ok(_) => self.code_point.clear(),
                Err(error) if error.error_len().is_none() => {}
                Err(_) => {
                    self.payload.extend(&payload[..i]);
                    return Err(End::Failed(Fault::Utf8));
                }
            }
        }
        self.payload.extend(payload);
        Ok(())
    }

    fn control(&mut self, opcode: u8, payload: Vec<u8>) -> Result<(), End> {
        match opcode {
            PING => self.pongs.push(payload),
            PONG => {}
            _ => return Err(self.close(&payload)),
        }
        Ok(())
    }

    /// A Close (sections 5.5.1 and 7.4).
    fn close(&self, payload: &[u8]) -> End {
        let [high, low, reason @ ..] = payload else {
            return if payload.is_empty() { End::Closed(None) } else { protocol() };
        };
        let code = u16::from_be_bytes([*high, *low]);
        let may_be_sent = match code {
            1000..=1003 | 1007..=1013 | 3000..=4999 => true,
            1014 => !self.departs(RefusesCode1014),
            _ => false,
        };
        let is_text = std::str::from_utf8(reason).is_ok();
        let bad_reason = End::Failed(Fault::Utf8);
        match (may_be_sent, is_text) {
            (true, true) => End::Closed(Some(code)),
            (true, false) => bad_reason,
            (false, false) if self.departs(ReasonBeforeCode) => bad_reason,
            (false, _) if self.departs(TakesBadCloseCodes) => End::Closed(Some(1002)),
            (false, _) => protocol(),
        }
    }
}

fn protocol() -> End {
    End::Failed(Fault::Protocol)
}

/// Reserved bits, opcodes, and control frames without FIN (sections 5.2 and 5.5).
fn check_first(first: u8) -> Result<(), End> {
    check_opcode(first)?;
    let is_fragment = first & 0x80 == 0;
    let is_control = first & 0x0f >= CLOSE;
    if first & 0x70 != 0 || is_control && is_fragment {
        return Err(protocol());
    }
    Ok(())
}

fn check_opcode(first: u8) -> Result<(), End> {
    match first & 0x0f {
        CONTINUATION | TEXT | BINARY | CLOSE | PING | PONG => Ok(()),
        _ => Err(protocol()),
    }
}
