//! A loop over the messages of `fastwebsockets`.

use super::{Contestant, Kind, Link, Role, Transport};
use crate::payload::Check;
use fastwebsockets::{Frame, OpCode, Payload, WebSocket};
use std::io;

pub struct Fastwebsockets;

impl Contestant for Fastwebsockets {
    const NAME: &'static str = "fastwebsockets (messages)";
    const KIND: Kind = Kind::Loop;
    type Link<S: Transport> = Messages<S>;

    fn link<S: Transport>(io: S, role: Role, text: bool) -> Option<Messages<S>> {
        let mut ws = WebSocket::after_handshake(io, role);
        ws.set_max_message_size(usize::MAX);
        Some(Messages { ws, opcode: if text { OpCode::Text } else { OpCode::Binary } })
    }
}

pub struct Messages<S> {
    ws: WebSocket<S>,
    opcode: OpCode,
}

impl<S: Transport> Link for Messages<S> {
    async fn receive(&mut self, _buf: &mut [u8], check: &mut Check) -> io::Result<usize> {
        let frame = self.ws.read_frame().await.map_err(io::Error::other)?;
        check.take(&frame.payload)?;
        Ok(frame.payload.len())
    }

    async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        let frame = Frame::new(true, self.opcode, None, Payload::Borrowed(bytes));
        self.ws.write_frame(frame).await.map_err(io::Error::other)
    }

    async fn flush(&mut self) -> io::Result<()> {
        self.ws.flush().await.map_err(io::Error::other)
    }
}
