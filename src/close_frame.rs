//! The Close that a peer sent.

use fastwebsockets::CloseCode;
use std::fmt;

/// The Close frame that the peer sent: why it ended the stream (RFC 6455 section 5.5.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CloseFrame {
    code: Option<u16>,
    reason: Box<str>,
}

impl CloseFrame {
    pub(crate) fn new(code: Option<u16>, reason: &str) -> Self {
        Self { code, reason: reason.into() }
    }

    /// The code, or `None` for a Close without one. Its number is `u16::from(code)`.
    pub fn code(&self) -> Option<CloseCode> {
        self.code.map(CloseCode::from)
    }

    /// The reason: at most 123 bytes, often empty, meant for people and not to be parsed.
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// Whether the peer closed because it was done: 1000 or no code at all. 1001 says that the peer
    /// goes away, which servers and browsers do in the middle of a transfer.
    pub fn is_normal(&self) -> bool {
        matches!(self.code, None | Some(1000))
    }

    pub(crate) fn number(&self) -> Option<u16> {
        self.code
    }
}

impl fmt::Display for CloseFrame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.code {
            None => f.write_str("Close without a code")?,
            Some(code) => write!(f, "Close {code}")?,
        }
        if !self.reason.is_empty() {
            write!(f, " ({})", self.reason.escape_debug())?;
        }
        Ok(())
    }
}

impl std::error::Error for CloseFrame {}
