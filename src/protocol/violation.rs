//! How a peer can break the protocol.

use std::fmt;

/// What the peer did that RFC 6455 doesn't allow.
///
/// The stream reports it once everything before it has been read, and sends the peer a Close with
/// [`close_code`](Self::close_code).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Violation {
    /// A reserved bit is set without an extension that defines it (section 5.2).
    ReservedBits,
    /// An opcode that isn't defined (section 5.2).
    ReservedOpcode,
    /// A control frame without FIN (section 5.5).
    FragmentedControl,
    /// A control frame with more than 125 bytes (section 5.5).
    ControlTooLong,
    /// A length that isn't in its shortest form (section 5.2).
    LengthNotMinimal,
    /// A 64-bit length with its top bit set (section 5.2).
    LengthTooLarge,
    /// A client's frame that isn't masked (section 5.1).
    UnmaskedFrame,
    /// A server's frame that is masked (section 5.1), or any where no masking was agreed on.
    MaskedFrame,
    /// A continuation frame without a message to continue (section 5.4).
    UnexpectedContinuation,
    /// A new message before the last fragment of the one before it (section 5.4).
    UnfinishedMessage,
    /// A Text message on a Binary stream, or the other way round.
    WrongPayloadType,
    /// A Text message that isn't UTF-8 (section 8.1).
    InvalidUtf8,
    /// A Close frame of one byte (section 5.5.1).
    CloseTooShort,
    /// A Close code that may not be sent (section 7.4).
    InvalidCloseCode(u16),
    /// A Close reason that isn't UTF-8 (section 5.5.1).
    InvalidCloseReason,
}

impl Violation {
    /// The code of the Close that the peer gets for it (RFC 6455 section 7.4.1): 1002, 1003 for
    /// the wrong payload type, 1007 for bad UTF-8.
    pub fn close_code(self) -> u16 {
        match self {
            Violation::WrongPayloadType => 1003,
            Violation::InvalidUtf8 | Violation::InvalidCloseReason => 1007,
            _ => 1002,
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Violation::ReservedBits => f.write_str("a frame with reserved bits set"),
            Violation::ReservedOpcode => f.write_str("a frame with a reserved opcode"),
            Violation::FragmentedControl => f.write_str("a fragmented control frame"),
            Violation::ControlTooLong => f.write_str("a control frame of more than 125 bytes"),
            Violation::LengthNotMinimal => {
                f.write_str("a frame length that isn't in its shortest form")
            }
            Violation::LengthTooLarge => f.write_str("a frame length of 2^63 bytes or more"),
            Violation::UnmaskedFrame => f.write_str("an unmasked frame from a client"),
            Violation::MaskedFrame => f.write_str(
                "a masked frame from a server (a fastwebsockets server sends those when it writes \
                 back a Frame as read_frame() gave it; it has to make a new Frame of the payload)",
            ),
            Violation::UnexpectedContinuation => {
                f.write_str("a continuation frame without a message to continue")
            }
            Violation::UnfinishedMessage => {
                f.write_str("a new message before the end of a fragmented one")
            }
            Violation::WrongPayloadType => {
                f.write_str("a message of the other payload type than the stream's")
            }
            Violation::InvalidUtf8 => f.write_str("a text message that isn't UTF-8"),
            Violation::CloseTooShort => f.write_str("a Close frame of one byte"),
            Violation::InvalidCloseCode(code) => write!(f, "a Close frame with the code {code}"),
            Violation::InvalidCloseReason => f.write_str("a Close frame whose reason isn't UTF-8"),
        }
    }
}

impl std::error::Error for Violation {}
