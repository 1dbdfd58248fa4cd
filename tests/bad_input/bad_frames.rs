//! Frames that mean harm, after a good handshake, and what the server has to do about them.

use crate::common::{
    bytes,
    frames::{self, BINARY, CLOSE, CONTINUATION, Frame, PING, PONG},
};
use fastwebsockets_stream::fastwebsockets::Role;

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum BadFrames {
    /// A head that claims all that a head can, and a little payload after it.
    HugeClaim,
    /// Fragments of nothing.
    EmptyFragments,
    /// Pings whose pongs aren't read.
    PingFlood,
    /// Payload whose echo isn't read.
    UnreadEcho,
    /// A frame that isn't masked.
    NotMasked,
    /// A Close, after which the peer stays.
    CloseAndStay,
}

/// What carries the frames.
pub(crate) trait Wire {
    async fn send(&mut self, bytes: &[u8]);

    /// Sends bytes over and over, until the server has what it takes while nothing is read.
    async fn fill(&mut self, bytes: &[u8]);

    /// Reads something; `None` at the end.
    async fn receive(&mut self) -> Option<Vec<u8>>;
}

/// Fragments and pings of a peer, and how many are sent at a time.
const FLOOD: usize = 5_000;
const AT_A_TIME: usize = 100;

impl BadFrames {
    /// Sends without reading.
    pub(crate) async fn attack(self, wire: &mut impl Wire) {
        match self {
            Self::HugeClaim => {
                let payload = payload();
                let masked = frames::masked(BINARY, &payload);
                let head = frames::masked_head(BINARY, (1 << 63) - 1);
                wire.send(&head).await;
                wire.send(&masked[masked.len() - payload.len()..]).await;
            }
            Self::EmptyFragments => {
                wire.send(&frames::fragment_to(Role::Server, BINARY, b"")).await;
                let nothing = frames::fragment_to(Role::Server, CONTINUATION, b"");
                flood(wire, &nothing).await;
                wire.send(&frames::fragment_to(Role::Server, CONTINUATION, &payload())).await;
            }
            Self::PingFlood => {
                let ping = frames::masked(PING, &[b'p'; 125]);
                flood(wire, &ping).await;
                wire.send(&frames::masked(PING, b"the last")).await;
            }
            Self::UnreadEcho => wire.fill(&frames::masked(BINARY, &payload())).await,
            Self::NotMasked => wire.send(&frames::unmasked(BINARY, &payload())).await,
            Self::CloseAndStay => wire.send(&frames::close_to(Role::Server, 1000, "")).await,
        }
    }

    /// Waits for what proves that the server has dealt with everything, and is well.
    pub(crate) async fn check(self, wire: &mut impl Wire) {
        let (mut received, mut echo) = (Vec::new(), Vec::new());
        loop {
            let more = wire.receive().await;
            received.extend(more.unwrap_or_else(|| panic!("no answer to {self:?}")));
            let (frames, rest) = frames::parse_some(&received);
            received = rest.to_vec();
            echo.extend(frames::payload(&frames));
            let is_answered = match self {
                // What came of the frame is given out before its end.
                Self::HugeClaim | Self::EmptyFragments => echo == payload(),
                // The answer to the latest is never left out.
                Self::PingFlood => {
                    frames.iter().any(|f| f.opcode == PONG && f.payload == b"the last")
                }
                Self::UnreadEcho => echo.starts_with(&payload()),
                Self::NotMasked => is_close(frames.last(), 1002),
                Self::CloseAndStay => is_close(frames.last(), 1000),
            };
            if is_answered {
                break;
            }
        }
        if matches!(self, Self::NotMasked | Self::CloseAndStay) {
            assert_eq!(wire.receive().await, None, "the server ends the connection");
        }
    }
}

fn is_close(frame: Option<&Frame>, code: u16) -> bool {
    frame.is_some_and(|frame| {
        frame.opcode == CLOSE && frame.payload == frames::close_payload(code, "")
    })
}

async fn flood(wire: &mut impl Wire, frame: &[u8]) {
    let frames = frame.repeat(AT_A_TIME);
    for _ in 0..FLOOD / AT_A_TIME {
        wire.send(&frames).await;
    }
}

fn payload() -> Vec<u8> {
    bytes(1000)
}
