//! The payload of a Close frame (RFC 6455 section 5.5.1).

use super::{MAX_CONTROL_PAYLOAD, violation::Violation};

/// The longest reason: a control payload less the code.
pub(crate) const MAX_REASON: usize = MAX_CONTROL_PAYLOAD - 2;

/// Whether an endpoint may send this code (RFC 6455 section 7.4, and IANA's registry for
/// 1012 to 1014).
pub(crate) fn is_sendable(code: u16) -> bool {
    matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999)
}

/// Reads code and reason. An empty payload has neither.
pub(crate) fn parse(payload: &[u8]) -> Result<(Option<u16>, &str), Violation> {
    match payload {
        [] => Ok((None, "")),
        [_] => Err(Violation::CloseTooShort),
        [high, low, reason @ ..] => {
            let code = u16::from_be_bytes([*high, *low]);
            if !is_sendable(code) {
                return Err(Violation::InvalidCloseCode(code));
            }
            let reason = std::str::from_utf8(reason).map_err(|_| Violation::InvalidCloseReason)?;
            Ok((Some(code), reason))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_that_may_be_sent() {
        let sendable: Vec<u16> = (0..=u16::MAX).filter(|code| is_sendable(*code)).collect();
        let expected: Vec<u16> = (1000..=1003).chain(1007..=1014).chain(3000..=4999).collect();
        assert_eq!(sendable, expected);
    }

    #[test]
    fn payloads() {
        assert_eq!(parse(b""), Ok((None, "")));
        assert_eq!(parse(b"\x03"), Err(Violation::CloseTooShort));
        assert_eq!(parse(b"\x03\xe8"), Ok((Some(1000), "")));
        assert_eq!(parse(b"\x03\xe8bye"), Ok((Some(1000), "bye")));
        assert_eq!(parse(b"\x03\xed"), Err(Violation::InvalidCloseCode(1005)));
        assert_eq!(parse(b"\x03\xe8\xff"), Err(Violation::InvalidCloseReason));
    }
}
