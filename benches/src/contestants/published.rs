//! What is published under the name of this crate: 0.1.2.

use super::{ByteStream, Role, Transport};
use fastwebsockets::WebSocket;
use published::{PayloadType, WebSocketStream};

pub struct Published;

impl ByteStream for Published {
    const NAME: &'static str = "0.1.2";
    type Stream<S: Transport> = WebSocketStream<S>;

    fn stream<S: Transport>(io: S, role: Role, text: bool) -> Option<Self::Stream<S>> {
        let payload_type = if text { PayloadType::Text } else { PayloadType::Binary };
        let mut ws = WebSocket::after_handshake(io, role);
        // The case with one large frame needs more than the default of 64 MiB.
        ws.set_max_message_size(usize::MAX);
        Some(WebSocketStream::new(ws, payload_type))
    }
}
