//! `ws_stream_tungstenite`: tungstenite as a byte stream.

use super::{ByteStream, Role, Transport};
use futures_util::FutureExt;
use tungstenite_of_ws_stream::{
    WebSocketStream, tokio::TokioAdapter, tungstenite::protocol as tungstenite,
};
use ws_stream_tungstenite::WsStream;

pub struct WsStreamTungstenite;

impl ByteStream for WsStreamTungstenite {
    const NAME: &'static str = "ws_stream_tungstenite";
    type Stream<S: Transport> = WsStream<TokioAdapter<S>>;

    fn stream<S: Transport>(io: S, role: Role, text: bool) -> Option<Self::Stream<S>> {
        // It is for binary messages only.
        if text {
            return None;
        }
        let role = match role {
            Role::Server => tungstenite::Role::Server,
            Role::Client => tungstenite::Role::Client,
        };
        // The case with one large frame needs more than the default of 16 MiB.
        let config =
            tungstenite::WebSocketConfig::default().max_frame_size(None).max_message_size(None);
        let ws = WebSocketStream::from_raw_socket(TokioAdapter::new(io), role, Some(config))
            .now_or_never()
            .expect("it waits for nothing");
        Some(WsStream::new(ws))
    }
}
