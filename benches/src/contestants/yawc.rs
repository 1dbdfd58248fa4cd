//! A loop over the messages of `yawc`.

use super::{Contestant, Kind, Link, Role, Transport};
use crate::payload::Check;
use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use std::io;
use yawc::{Frame, Options, WebSocket};

pub struct Yawc;

impl Contestant for Yawc {
    const NAME: &'static str = "yawc (messages)";
    const KIND: Kind = Kind::Loop;
    type Link<S: Transport> = Messages<S>;

    fn link<S: Transport>(io: S, role: Role, text: bool) -> Option<Messages<S>> {
        let role = match role {
            Role::Server => yawc::Role::Server,
            Role::Client => yawc::Role::Client,
        };
        let limit = 1 << 30;
        let mut options = Options::default().with_limits(limit, 2 * limit);
        if text {
            options = options.with_utf8();
        }
        let ws = WebSocket::from_stream(io, role, options).ok()?;
        Some(Messages { ws, text })
    }
}

pub struct Messages<S> {
    ws: WebSocket<S>,
    text: bool,
}

impl<S: Transport> Link for Messages<S> {
    async fn receive(&mut self, _buf: &mut [u8], check: &mut Check) -> io::Result<usize> {
        let frame = self.ws.next().await.ok_or(io::ErrorKind::UnexpectedEof)?;
        check.take(frame.payload())?;
        Ok(frame.payload().len())
    }

    async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        // It takes messages that own their bytes.
        let bytes = Bytes::copy_from_slice(bytes);
        let frame = if self.text { Frame::text(bytes) } else { Frame::binary(bytes) };
        self.ws.feed(frame).await.map_err(io::Error::other)
    }

    async fn flush(&mut self) -> io::Result<()> {
        self.ws.flush().await.map_err(io::Error::other)
    }
}
