//! One of our streams, with a peer that sends anything.

use super::{
    application::{Application, CLOSE_CODE, Log, WriteEnd},
    choices::Choices,
    executor,
    frames::{self, BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT},
    reference::{self, Ending, Meaning, Rules},
    transport::{End, Line, Transport},
};
use fastwebsockets_stream::{
    Config, Error, PayloadType, Stats, WebSocketStream, fastwebsockets::Role,
};
use std::{cell::RefCell, collections::VecDeque, error::Error as _, io, rc::Rc, sync::LazyLock};

/// Text with code points of every length.
const SCRIPT: &str = "plain, ümlaut, €uro, 한글, 😀!";

/// What is decided about a stream.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Setting {
    pub(crate) endpoint: Endpoint,
    pub(crate) text: bool,
    pub(crate) half_close: bool,
    pub(crate) strict_close: bool,
    pub(crate) max_frame_size: usize,
}

/// Which end of the WebSocket it is. (fastwebsockets' `Role` has no `Debug`.)
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Endpoint {
    Client,
    Server,
}

impl Setting {
    pub(crate) fn new(choices: &Choices) -> Self {
        Self {
            endpoint: choices.pick(&[Endpoint::Client, Endpoint::Server]),
            text: choices.one_in(2),
            half_close: choices.one_in(2),
            strict_close: choices.one_in(4),
            max_frame_size: choices.pick(&[0, 0, 4, 5, 100, 3000, 70_000]),
        }
    }

    pub(crate) fn role(&self) -> Role {
        match self.endpoint {
            Endpoint::Client => Role::Client,
            Endpoint::Server => Role::Server,
        }
    }

    pub(crate) fn config(&self) -> Config {
        let payload_type = if self.text { PayloadType::Text } else { PayloadType::Binary };
        let config = Config::new()
            .payload_type(payload_type)
            .half_close(self.half_close)
            .strict_close(self.strict_close);
        match self.max_frame_size {
            0 => config,
            bytes => config.max_frame_size(bytes),
        }
    }

    pub(crate) fn opcode(&self) -> u8 {
        if self.text { TEXT } else { BINARY }
    }

    /// Something to send, of up to this many bytes.
    pub(crate) fn payload(&self, len: usize) -> &'static [u8] {
        if self.text {
            let mut len = len.min(TEXT_TO_SEND.len());
            while !TEXT_TO_SEND.is_char_boundary(len) {
                len -= 1;
            }
            return &TEXT_TO_SEND.as_bytes()[..len];
        }
        &BYTES_TO_SEND[..len.min(BYTES_TO_SEND.len())]
    }
}

static TEXT_TO_SEND: LazyLock<String> = LazyLock::new(|| SCRIPT.repeat(2000));

static BYTES_TO_SEND: LazyLock<Vec<u8>> = LazyLock::new(|| {
    (0..70_000u32).map(|i| i.wrapping_mul(2_654_435_761).to_be_bytes()[0]).collect()
});

/// Runs a world with one stream to its end, and checks all that can be seen of it.
pub(crate) fn run(bytes: &[u8]) {
    let choices = Choices::new(bytes);
    let setting = Setting::new(&choices);
    let (incoming, outgoing) = lines(&choices);
    let sent_by_peer = peer(&choices, &setting);
    let end = choices.pick(&[End::Open, End::Eof, End::Error(io::ErrorKind::ConnectionReset)]);
    incoming.borrow_mut().bytes.extend(&sent_by_peer);
    incoming.borrow_mut().end = end;
    if choices.one_in(5) {
        outgoing.borrow_mut().fails_after = Some(choices.size());
    }

    let transport = Transport::new(&choices, &incoming, &outgoing);
    let stream = WebSocketStream::after_handshake(transport, setting.role(), setting.config());
    let application = Application::new(&choices, stream);
    let write_end =
        choices.pick(&[WriteEnd::Shutdown, WriteEnd::Open, WriteEnd::Close, WriteEnd::Open]);
    let to_write = setting.payload(choices.size());
    let rest = executor::run(
        &choices,
        vec![
            Box::pin(application.clone().read()),
            Box::pin(application.clone().write(to_write, write_end)),
        ],
        &[incoming, outgoing.clone()],
    );

    let rules = Rules { masks: setting.endpoint == Endpoint::Server, text: setting.text };
    let meaning = reference::decode(&sent_by_peer, rules);
    let log = application.log.borrow();
    let outgoing = outgoing.borrow();
    let sent = [&outgoing.bytes, &VecDeque::from(outgoing.held.clone()), &outgoing.kept];
    let sent: Vec<u8> = sent.into_iter().flatten().copied().collect();
    let world =
        World { setting, meaning, end, log: &log, write_fails: outgoing.fails_after.is_some() };
    world.check_rest(&rest.waiting);
    world.check_reads();
    world.check_writes(&sent);
    world.check_stats(&application.stream.borrow().stats(), &sent);
}

fn lines(choices: &Choices) -> (Rc<RefCell<Line>>, Rc<RefCell<Line>>) {
    (Line::new(usize::MAX, false), Line::new(usize::MAX, choices.one_in(4)))
}

/// The bytes of a peer that mostly keeps to the rules.
fn peer(choices: &Choices, setting: &Setting) -> Vec<u8> {
    let role = setting.role();
    let mut bytes = Vec::new();
    let mut open = false;
    let mut content = setting.payload(usize::MAX);
    for _ in 0..choices.below(20) {
        let opcode = if open { CONTINUATION } else { setting.opcode() };
        match choices.below(16) {
            0..=7 => {
                // A fragment of a text may end anywhere in a code point.
                let (payload, rest) = content.split_at(choices.size().min(content.len()));
                content = rest;
                if choices.one_in(3) {
                    bytes.extend(frames::fragment_to(role, opcode, payload));
                    open = true;
                } else {
                    bytes.extend(frames::to(role, opcode, payload));
                    open = false;
                }
            }
            8 | 9 => bytes.extend(frames::to(role, PING, setting.payload(choices.below(120)))),
            10 => bytes.extend(frames::to(role, PONG, &choices.bytes(3))),
            11 => {
                let code = choices.pick(&[1000, 1001, 1011, 4999, 1005, 999]);
                let reason = choices.pick(&["", "over", "zu Ende, für heute"]);
                bytes.extend(frames::close_to(role, code, reason));
            }
            12 => bytes.extend(frames::to(role, CLOSE, &choices.bytes(choices.below(3)))),
            13 => {
                let (opcode, len) = (choices.byte(), choices.below(300));
                bytes.extend(frames::to(role, opcode, &choices.bytes(len)));
            }
            14 => bytes.extend(choices.bytes(choices.below(30))),
            _ => {
                let at = choices.below(bytes.len().max(1));
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= 1 << choices.below(8);
                }
            }
        }
    }
    if choices.one_in(3) {
        let cut = choices.below(bytes.len() + 1);
        bytes.truncate(cut);
    }
    bytes
}

/// What happened, and what should have.
struct World<'a> {
    setting: Setting,
    meaning: Meaning,
    /// How the transport ends after the peer's bytes.
    end: End,
    log: &'a Log,
    write_fails: bool,
}

impl World<'_> {
    fn never_ends(&self) -> bool {
        self.meaning.end.is_none() && self.end == End::Open
    }

    /// Only who waits for a peer that says nothing is left waiting.
    fn check_rest(&self, waiting: &[usize]) {
        let reader_waits = waiting.contains(&0);
        assert_eq!(reader_waits, self.never_ends() && !self.log.closing, "the reader's rest");
        let writer_waits = waiting.contains(&1);
        assert!(!writer_waits || self.log.closing && self.never_ends(), "the writer waits");
    }

    fn check_reads(&self) {
        let log = self.log;
        if log.closing {
            // What the close has dropped is missing.
            assert!(log.received.len() <= self.meaning.payload.len() + self.meaning.doubtful.len());
        } else {
            assert!(self.meaning.is_delivered_by(&log.received), "the payload");
        }
        let Some(end) = &log.read_end else {
            return;
        };
        let error = end.as_ref().err();
        let cause = error.and_then(|error| error.get_ref()?.downcast_ref::<Error>());
        match (&self.meaning.end, self.end) {
            (Some(Ending::Violation(violation)), _) => {
                assert_eq!(cause, Some(&Error::Protocol(*violation)));
            }
            (Some(Ending::Close(code, _)), _) => {
                let normal = matches!(code, None | Some(1000));
                if self.setting.strict_close && !normal {
                    assert!(matches!(cause, Some(Error::Aborted(_))), "{error:?}");
                    assert!(cause.and_then(Error::source).is_some());
                } else {
                    assert!(error.is_none(), "{error:?}");
                }
            }
            (None, End::Eof) => assert_eq!(cause, Some(&Error::Truncated)),
            (None, End::Error(kind)) => assert_eq!(error.map(io::Error::kind), Some(kind)),
            (None, End::Open) => panic!("an end that never came"),
        }
    }

    fn check_writes(&self, sent: &[u8]) {
        let (frames, rest) = frames::parse_some(sent);
        let log = self.log;
        assert!(
            rest.is_empty() || self.write_fails || log.read_end.is_some() || log.closing,
            "a frame that wasn't finished"
        );
        let mut accepted = &log.accepted[..];
        let mut pings = self.meaning.pings.iter();
        let mut close = None;
        for frame in &frames {
            assert!(close.is_none(), "a frame after Close: {frame:?}");
            assert!(frame.fin);
            assert_eq!(frame.masked, self.setting.endpoint == Endpoint::Client);
            match frame.opcode {
                PONG => {
                    assert!(pings.any(|ping| *ping == frame.payload), "nobody sent that ping");
                }
                CLOSE => close = Some(&frame.payload),
                opcode => {
                    assert_eq!(opcode, self.setting.opcode());
                    assert!(!frame.payload.is_empty());
                    if self.setting.text {
                        assert!(std::str::from_utf8(&frame.payload).is_ok());
                    }
                    if self.setting.max_frame_size > 0 {
                        assert!(frame.payload.len() <= self.setting.max_frame_size);
                    }
                    accepted =
                        accepted.strip_prefix(&frame.payload[..]).expect("what was accepted");
                }
            }
        }
        let arrived = log.accepted.len() - accepted.len();
        let held = if self.setting.text { 3 } else { 0 };
        assert!(arrived + held >= log.flushed, "{arrived} of {} flushed bytes", log.flushed);
        if let Some(close) = close {
            self.check_close(close);
        }
    }

    /// What the stream has counted is what was seen of it.
    fn check_stats(&self, stats: &Stats, sent: &[u8]) {
        let log = self.log;
        if !log.closing {
            assert!(stats.bytes_read >= log.received.len() as u64);
            if log.read_end.is_some() {
                assert_eq!(stats.bytes_read, log.received.len() as u64);
            }
        }
        assert_eq!(stats.bytes_written, log.accepted.len() as u64);
        let (frames, _) = frames::parse_some(sent);
        let is_control = |frame: &&frames::Frame| frame.opcode & 8 != 0;
        let control_frames = frames.iter().filter(is_control).count() as u64;
        let data_frames = frames.len() as u64 - control_frames;
        // What was accepted, or queued, may never have got out.
        assert!(stats.frames_written >= data_frames);
        assert!(stats.control_frames_written >= control_frames);
        if !self.write_fails && matches!(log.write_end, Some(Ok(()))) {
            assert_eq!(stats.frames_written, data_frames);
            assert_eq!(stats.control_frames_written, control_frames);
        }
    }

    fn check_close(&self, payload: &[u8]) {
        let code = payload.get(..2).map(|code| u16::from_be_bytes([code[0], code[1]]));
        let own = if self.log.closing { Some(CLOSE_CODE) } else { Some(1000) };
        let answer = match &self.meaning.end {
            Some(Ending::Close(code, _)) => *code,
            Some(Ending::Violation(violation)) => Some(violation.close_code()),
            None => own,
        };
        assert!(code == own || code == answer, "a Close {code:?}");
    }
}
