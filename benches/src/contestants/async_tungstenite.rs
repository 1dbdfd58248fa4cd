//! `async-tungstenite`: its `ByteReader` and `ByteWriter`.

use super::{ByteStream, Role, Transport};
use async_tungstenite::{
    ByteReader, ByteWriter, WebSocketReceiver, WebSocketSender, WebSocketStream,
    tokio::TokioAdapter, tungstenite::protocol as tungstenite,
};
use futures_util::FutureExt;
use tokio::io::{Join, join};

pub struct AsyncTungstenite;

impl ByteStream for AsyncTungstenite {
    const NAME: &'static str = "async-tungstenite";
    type Stream<S: Transport> = Join<
        ByteReader<WebSocketReceiver<TokioAdapter<S>>>,
        ByteWriter<WebSocketSender<TokioAdapter<S>>>,
    >;

    fn stream<S: Transport>(io: S, role: Role, text: bool) -> Option<Self::Stream<S>> {
        // It writes binary messages only.
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
        let (sender, receiver) = ws.split();
        Some(join(ByteReader::new(receiver), ByteWriter::new(sender)))
    }
}
