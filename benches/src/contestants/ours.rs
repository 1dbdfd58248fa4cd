//! This crate.

use super::{ByteStream, Kind, Role, Transport};
use fastwebsockets_stream::{PayloadType, WebSocketStream};

pub struct Ours;

impl ByteStream for Ours {
    const NAME: &'static str = "this crate";
    const KIND: Kind = Kind::Ours;
    type Stream<S: Transport> = WebSocketStream<S>;

    fn stream<S: Transport>(io: S, role: Role, text: bool) -> Option<Self::Stream<S>> {
        let payload_type = if text { PayloadType::Text } else { PayloadType::Binary };
        Some(WebSocketStream::after_handshake(io, role, payload_type))
    }
}
