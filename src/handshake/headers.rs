//! What the headers of the handshake say (RFC 6455 section 4.3, RFC 9110 section 5.6).

use base64::{Engine as _, engine::general_purpose::STANDARD};
use hyper::{
    HeaderMap, Request,
    ext::Protocol,
    header::{AsHeaderName, HeaderName, HeaderValue},
};
use sha1::{Digest, Sha1};
use std::collections::HashSet;

/// The one version of the protocol (RFC 6455 section 4.1).
pub(super) const VERSION: HeaderValue = HeaderValue::from_static("13");

/// The value of `Upgrade` and of `:protocol`.
pub(super) const WEBSOCKET: &str = "websocket";

/// The extension of draft-damjanovic-websockets-nomasking.
pub(super) const NO_MASKING: &str = "no-masking";

/// A list that isn't one.
#[derive(Debug, PartialEq)]
pub(super) struct Malformed;

/// Whether a comma-separated list of tokens, in one header or several, has this one in any case.
pub(super) fn has_token(headers: &HeaderMap, name: impl AsHeaderName, token: &str) -> bool {
    let values = headers.get_all(name).into_iter();
    let mut tokens = values.flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
    tokens.any(|found| found.trim_ascii().eq_ignore_ascii_case(token.as_bytes()))
}

/// The value of a header that must be there once.
pub(super) fn single(headers: &HeaderMap, name: HeaderName) -> Option<&HeaderValue> {
    let mut values = headers.get_all(name).into_iter();
    match (values.next(), values.next()) {
        (Some(value), None) => Some(value),
        _ => None,
    }
}

/// Whether this is an extended CONNECT for a WebSocket (RFC 8441 section 4). Proxies pass the
/// protocol on in the case in which they got it.
pub(super) fn is_connect_protocol<B>(request: &Request<B>) -> bool {
    let protocol = request.extensions().get::<Protocol>();
    protocol.is_some_and(|protocol| protocol.as_str().eq_ignore_ascii_case(WEBSOCKET))
}

/// The subprotocols of a `Sec-WebSocket-Protocol` (RFC 6455 section 11.3.4): tokens, each once.
pub(super) fn subprotocols(headers: &HeaderMap) -> Result<Vec<&str>, Malformed> {
    let mut found: Vec<&str> = Vec::new();
    // A peer may send more of them than can be compared one by one.
    let mut known = HashSet::new();
    for value in headers.get_all(hyper::header::SEC_WEBSOCKET_PROTOCOL) {
        for token in value.to_str().map_err(|_| Malformed)?.split(',') {
            let token = token.trim_matches([' ', '\t']);
            if !is_token(token) || !known.insert(token) {
                return Err(Malformed);
            }
            found.push(token);
        }
    }
    Ok(found)
}

/// An extension as offered or accepted (RFC 6455 section 9.1).
#[derive(Debug, PartialEq)]
pub(super) struct Extension<'a> {
    pub(super) name: &'a str,
    pub(super) has_parameters: bool,
}

impl Extension<'_> {
    pub(super) fn is_no_masking(&self) -> bool {
        self.name.eq_ignore_ascii_case(NO_MASKING) && !self.has_parameters
    }
}

/// The extensions of a `Sec-WebSocket-Extensions`.
pub(super) fn extensions(headers: &HeaderMap) -> Result<Vec<Extension<'_>>, Malformed> {
    let mut found = Vec::new();
    for value in headers.get_all(hyper::header::SEC_WEBSOCKET_EXTENSIONS) {
        let value = value.to_str().map_err(|_| Malformed)?;
        for extension in split_unquoted(value, ',')? {
            let mut parts = split_unquoted(extension, ';')?.into_iter();
            let name = parts.next().filter(|name| is_token(name)).ok_or(Malformed)?;
            let mut has_parameters = false;
            for parameter in parts {
                has_parameters = true;
                if !is_parameter(parameter) {
                    return Err(Malformed);
                }
            }
            found.push(Extension { name, has_parameters });
        }
    }
    Ok(found)
}

/// Splits at a separator, but not within a quoted string, and trims the parts.
fn split_unquoted(value: &str, separator: char) -> Result<Vec<&str>, Malformed> {
    let (mut parts, mut start) = (Vec::new(), 0);
    let (mut quoted, mut escaped) = (false, false);
    for (at, char) in value.char_indices() {
        match char {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            _ if char == separator && !quoted => {
                parts.push(value[start..at].trim_matches([' ', '\t']));
                start = at + 1;
            }
            _ => {}
        }
    }
    if quoted {
        return Err(Malformed);
    }
    parts.push(value[start..].trim_matches([' ', '\t']));
    Ok(parts)
}

/// A token, or a token and its value; a quoted value must be a token without its quotes.
fn is_parameter(parameter: &str) -> bool {
    let Some((name, value)) = parameter.split_once('=') else {
        return is_token(parameter);
    };
    let (name, value) = (name.trim_end(), value.trim_start());
    let unquoted = value.strip_prefix('"').and_then(|value| value.strip_suffix('"'));
    is_token(name) && is_token(&unquoted.unwrap_or(value).replace('\\', ""))
}

/// RFC 9110 section 5.6.2.
pub(super) fn is_token(token: &str) -> bool {
    let is_tchar = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !token.is_empty() && token.bytes().all(is_tchar)
}

/// A fresh `Sec-WebSocket-Key`.
pub(super) fn new_key() -> String {
    STANDARD.encode(rand::random::<[u8; 16]>())
}

/// Whether this is 16 bytes of base64.
pub(super) fn is_key(key: &HeaderValue) -> bool {
    STANDARD.decode(key).is_ok_and(|bytes| bytes.len() == 16)
}

/// The `Sec-WebSocket-Accept` for a key (RFC 6455 section 4.2.2).
pub(super) fn accept(key: &[u8]) -> String {
    let mut sha1 = Sha1::new();
    sha1.update(key);
    sha1.update(b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    STANDARD.encode(sha1.finalize())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: HeaderName, values: &[&str]) -> HeaderMap {
        values.iter().map(|value| (name.clone(), value.parse().unwrap())).collect()
    }

    #[test]
    fn the_accept_of_the_rfcs_example() {
        assert_eq!(accept(b"dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    #[test]
    fn keys_are_16_bytes() {
        assert!(is_key(&HeaderValue::from_static("dGhlIHNhbXBsZSBub25jZQ==")));
        assert!(is_key(&new_key().parse().unwrap()));
        assert_ne!(new_key(), new_key());
        for bad in ["", "dGhlIHNhbXBsZSBub25jZQ", "dGhlIHNhbXBsZSBub25j", "not base64 at all!!!!!"]
        {
            assert!(!is_key(&HeaderValue::from_static(bad)), "{bad}");
        }
    }

    #[test]
    fn tokens_in_any_order_case_and_number_of_headers() {
        use hyper::header::CONNECTION;
        for values in [&["keep-alive, Upgrade"][..], &["close", "UPGRADE"], &[" a,\tupgrade ,b"]] {
            assert!(has_token(&headers(CONNECTION, values), CONNECTION, "upgrade"), "{values:?}");
        }
        for values in [&["upgraded"][..], &[], &["up grade"], &[""]] {
            assert!(!has_token(&headers(CONNECTION, values), CONNECTION, "upgrade"), "{values:?}");
        }
    }

    #[test]
    fn subprotocol_lists() {
        let parse = |values: &[&str]| {
            let headers = headers(hyper::header::SEC_WEBSOCKET_PROTOCOL, values);
            subprotocols(&headers).map(|found| found.join("|"))
        };
        assert_eq!(parse(&[]), Ok(String::new()));
        assert_eq!(parse(&["mqtt, v2.x", "chat"]), Ok("mqtt|v2.x|chat".to_owned()));
        for bad in [&["a,,b"][..], &[""], &["a b"], &["a,a"], &["a", "a"], &["é"], &["a;b"]] {
            assert_eq!(parse(bad), Err(Malformed), "{bad:?}");
        }
    }

    #[test]
    fn a_long_list_takes_no_longer_than_its_length() {
        let many: Vec<String> = (0..100_000).map(|i| format!("a{i}")).collect();
        let headers = headers(hyper::header::SEC_WEBSOCKET_PROTOCOL, &[&many.join(",")]);
        let start = std::time::Instant::now();
        assert_eq!(subprotocols(&headers).map(|found| found.len()), Ok(many.len()));
        assert!(start.elapsed().as_secs() < 5, "compared one by one it takes three times as long");
    }

    #[test]
    fn extension_lists() {
        let parse = |values: &[&str]| {
            let headers = headers(hyper::header::SEC_WEBSOCKET_EXTENSIONS, values);
            extensions(&headers).map(|found| {
                let names = found.iter().map(|e| format!("{}:{}", e.name, e.has_parameters));
                names.collect::<Vec<_>>().join("|")
            })
        };
        assert_eq!(parse(&[]), Ok(String::new()));
        assert_eq!(
            parse(&["permessage-deflate; client_max_window_bits, no-masking", "x; a=1; b=\"2\""]),
            Ok("permessage-deflate:true|no-masking:false|x:true".to_owned())
        );
        for bad in ["", "a,,b", "a b", "a;", "a;=1", "a; b=", "a; b=\"", "a; b=\"c,d\"", "\"a\""] {
            assert_eq!(parse(&[bad]), Err(Malformed), "{bad}");
        }
    }
}
