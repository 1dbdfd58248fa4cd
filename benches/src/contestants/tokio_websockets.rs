//! `tokio-websockets` under tokio-util's `StreamReader` and `SinkWriter`.

use super::{ByteStream, Role, Transport};
use bytes::Bytes;
use futures_util::{Sink, Stream};
use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};
use tokio_util::io::{CopyToBytes, SinkWriter, StreamReader};
use tokio_websockets::{ClientBuilder, Limits, Message, ServerBuilder, WebSocketStream};

pub struct TokioWebsockets;

impl ByteStream for TokioWebsockets {
    const NAME: &'static str = "tokio-websockets";
    type Stream<S: Transport> = SinkWriter<StreamReader<CopyToBytes<Payloads<S>>, Bytes>>;

    fn stream<S: Transport>(io: S, role: Role, text: bool) -> Option<Self::Stream<S>> {
        // The case with one large frame needs more than the default of 64 MiB.
        let limits = Limits::unlimited();
        let ws = match role {
            Role::Server => ServerBuilder::new().limits(limits).serve(io),
            Role::Client => ClientBuilder::new().limits(limits).take_over(io),
        };
        let payloads = CopyToBytes::new(Payloads { ws, text });
        Some(SinkWriter::new(StreamReader::new(payloads)))
    }
}

/// The messages as their payloads.
pub struct Payloads<S> {
    ws: WebSocketStream<S>,
    text: bool,
}

impl<S: Transport> Stream for Payloads<S> {
    type Item = io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Pin::new(&mut self.ws).poll_next(cx).map(|next| {
            next.map(|message| Ok(message.map_err(io::Error::other)?.into_payload().into()))
        })
    }
}

impl<S: Transport> Sink<Bytes> for Payloads<S> {
    type Error = io::Error;

    fn poll_ready(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.ws).poll_ready(cx).map_err(io::Error::other)
    }

    fn start_send(mut self: Pin<&mut Self>, bytes: Bytes) -> io::Result<()> {
        let message = if self.text { Message::text(bytes) } else { Message::binary(bytes) };
        Pin::new(&mut self.ws).start_send(message).map_err(io::Error::other)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.ws).poll_flush(cx).map_err(io::Error::other)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.ws).poll_close(cx).map_err(io::Error::other)
    }
}
