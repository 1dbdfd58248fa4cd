//! What RFC 6455 says about the bytes of a peer, written to be read: no state, one byte at a time.

use fastwebsockets_stream::Violation;

/// What the bytes so far mean.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Meaning {
    /// All payload of data frames, as far as it has come and is valid.
    pub(crate) payload: Vec<u8>,
    /// What comes after it and is the start of a code point. It was delivered if it came before
    /// the byte that makes it wrong.
    pub(crate) doubtful: Vec<u8>,
    pub(crate) pings: Vec<Vec<u8>>,
    pub(crate) end: Option<Ending>,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Ending {
    /// Code and reason.
    Close(Option<u16>, String),
    Violation(Violation),
}

/// The peer of a stream.
#[derive(Clone, Copy)]
pub(crate) struct Rules {
    /// Whether it has to mask; otherwise it may not.
    pub(crate) masks: bool,
    /// Whether its messages are Text; otherwise they are Binary.
    pub(crate) text: bool,
}

impl Meaning {
    /// Whether this is what a reader gets that has read to the end.
    pub(crate) fn is_delivered_by(&self, bytes: &[u8]) -> bool {
        let most = [&self.payload[..], &self.doubtful].concat();
        match self.end {
            None => bytes == most,
            Some(_) => bytes.starts_with(&self.payload) && most.starts_with(bytes),
        }
    }
}

/// What is left of the bytes.
struct Bytes<'a>(&'a [u8]);

/// The bytes end before they say more.
struct NoMore;

enum Stop {
    NoMore,
    End(Ending),
}

impl From<NoMore> for Stop {
    fn from(_: NoMore) -> Self {
        Stop::NoMore
    }
}

impl From<Violation> for Stop {
    fn from(violation: Violation) -> Self {
        Stop::End(Ending::Violation(violation))
    }
}

impl Bytes<'_> {
    fn next(&mut self) -> Result<u8, NoMore> {
        let (first, rest) = self.0.split_first().ok_or(NoMore)?;
        self.0 = rest;
        Ok(*first)
    }

    fn number(&mut self, bytes: usize) -> Result<u64, NoMore> {
        let mut number = 0;
        for _ in 0..bytes {
            number = number << 8 | u64::from(self.next()?);
        }
        Ok(number)
    }
}

/// A message that isn't complete.
#[derive(Default)]
struct Message {
    /// The start of a code point.
    unfinished: Vec<u8>,
}

pub(crate) fn decode(bytes: &[u8], rules: Rules) -> Meaning {
    let mut meaning = Meaning::default();
    let mut message = None;
    let mut bytes = Bytes(bytes);
    while !bytes.0.is_empty() {
        match frame(&mut bytes, rules, &mut message, &mut meaning) {
            Ok(()) => {}
            Err(Stop::NoMore) => break,
            Err(Stop::End(end)) => {
                meaning.end = Some(end);
                break;
            }
        }
    }
    meaning
}

fn frame(
    bytes: &mut Bytes<'_>,
    rules: Rules,
    message: &mut Option<Message>,
    meaning: &mut Meaning,
) -> Result<(), Stop> {
    // Section 5.2.
    let first = bytes.next()?;
    if first & 0b0111_0000 != 0 {
        return Err(Violation::ReservedBits.into());
    }
    let (fin, opcode) = (first & 0x80 != 0, first & 0x0f);
    if !matches!(opcode, 0 | 1 | 2 | 8 | 9 | 10) {
        return Err(Violation::ReservedOpcode.into());
    }
    let is_control = opcode >= 8;
    if is_control && !fin {
        return Err(Violation::FragmentedControl.into());
    }
    let second = bytes.next()?;
    match (second & 0x80 != 0, rules.masks) {
        (false, true) => return Err(Violation::UnmaskedFrame.into()),
        (true, false) => return Err(Violation::MaskedFrame.into()),
        _ => {}
    }
    let short = u64::from(second & 0x7f);
    if is_control && short > 125 {
        return Err(Violation::ControlTooLong.into());
    }
    let (len, least) = match short {
        126 => (bytes.number(2)?, 126),
        127 => (bytes.number(8)?, 65_536),
        len => (len, 0),
    };
    if len >= 1 << 63 {
        return Err(Violation::LengthTooLarge.into());
    }
    if len < least {
        return Err(Violation::LengthNotMinimal.into());
    }
    let mut key = [0; 4];
    if rules.masks {
        for byte in &mut key {
            *byte = bytes.next()?;
        }
    }
    let payload = (0..len).zip(key.iter().cycle()).map(|(_, key)| Ok(bytes.next()? ^ key));
    if is_control {
        let payload = payload.collect::<Result<Vec<u8>, NoMore>>()?;
        return control(opcode, payload, meaning);
    }

    // Section 5.4.
    match (opcode, &message) {
        (0, None) => return Err(Violation::UnexpectedContinuation.into()),
        (1 | 2, Some(_)) => return Err(Violation::UnfinishedMessage.into()),
        (1 | 2, None) if (opcode == 1) != rules.text => {
            return Err(Violation::WrongPayloadType.into());
        }
        _ => {}
    }
    let text = &mut message.get_or_insert_with(Message::default).unfinished;
    meaning.doubtful.clear();
    // Section 8.1: a text is wrong from its first wrong byte on.
    let mut complete = true;
    for byte in payload {
        let Ok(byte) = byte else {
            complete = false;
            break;
        };
        if !rules.text {
            meaning.payload.push(byte);
            continue;
        }
        text.push(byte);
        match std::str::from_utf8(text) {
            Ok(_) => meaning.payload.append(text),
            Err(error) if error.error_len().is_some() => {
                text.pop();
                meaning.doubtful.append(text);
                return Err(Violation::InvalidUtf8.into());
            }
            Err(_) => {}
        }
    }
    if !complete {
        meaning.doubtful = text.clone();
        return Err(Stop::NoMore);
    }
    if fin {
        meaning.doubtful = message.take().unwrap_or_default().unfinished;
        if !meaning.doubtful.is_empty() {
            return Err(Violation::InvalidUtf8.into());
        }
    } else {
        meaning.doubtful = text.clone();
    }
    Ok(())
}

/// Section 5.5.
fn control(opcode: u8, payload: Vec<u8>, meaning: &mut Meaning) -> Result<(), Stop> {
    match opcode {
        9 => meaning.pings.push(payload),
        8 => return Err(Stop::End(close(&payload)?)),
        _ => {}
    }
    Ok(())
}

fn close(payload: &[u8]) -> Result<Ending, Violation> {
    let (code, reason) = match payload {
        [] => return Ok(Ending::Close(None, String::new())),
        [_] => return Err(Violation::CloseTooShort),
        [high, low, reason @ ..] => (u16::from_be_bytes([*high, *low]), reason),
    };
    // Section 7.4, and IANA's registry.
    if !matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999) {
        return Err(Violation::InvalidCloseCode(code));
    }
    let reason = String::from_utf8(reason.to_vec()).map_err(|_| Violation::InvalidCloseReason)?;
    Ok(Ending::Close(Some(code), reason))
}
