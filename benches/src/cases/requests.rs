//! Round trips: 64 bytes there and back, through a codec, pipelined, on many streams.

use super::{
    Case, Look, Measure, MeasureStream, Work,
    network::{self, Duplex, Http2, Network, Tcp, join},
};
use crate::{
    contestants::{ByteStream, Contestant, Link, Role, Transport},
    payload::{Check, Content, Payload},
};
use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use std::{io, marker::PhantomData, time::Duration};
use tokio_util::codec::{Framed, LengthDelimitedCodec};

/// Bytes of a request and of its answer.
const SIZE: usize = 64;
/// A reader's buffer that is larger than it need be.
const BUFFER: usize = 4 << 10;
/// Streams on one HTTP/2 connection.
const STREAMS: usize = 100;
/// Requests that wait for their answers at a time.
const PIPELINED: u64 = 64;
const TURN: Duration = Duration::from_millis(20);

pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    network_cases::<Duplex>(&mut cases);
    network_cases::<Tcp>(&mut cases);
    network_cases::<Http2>(&mut cases);
    let name = format!("{}/ping-pong/{STREAMS}-streams", Http2::NAME);
    cases.push(Measure::case(PingPong::<Http2>::new(STREAMS, BUFFER), name, 2 * TURN));
    cases
}

fn network_cases<N: Network>(cases: &mut Vec<Case>) {
    let name = |what: &str| format!("{}/{what}", N::NAME);
    cases.push(Measure::case(PingPong::<N>::new(1, BUFFER), name("ping-pong/64"), TURN));
    cases.push(Measure::case(PingPong::<N>::new(1, SIZE), name("ping-pong/64/exact"), TURN));
    for (pipelined, what) in [(1, "framed/request-response"), (PIPELINED, "framed/pipelined")] {
        let requests = Requests { network: PhantomData::<N>, payload: payload(), pipelined };
        cases.push(MeasureStream::case(requests, name(what), TURN));
    }
}

fn payload() -> Payload {
    Payload::new(Content::Binary, SIZE)
}

/// An operation is 64 bytes to the server and back.
#[derive(Clone)]
struct PingPong<N> {
    network: PhantomData<N>,
    payload: Payload,
    streams: usize,
    /// Bytes of the readers' buffers. Into one that fits an answer exactly, no head goes with it.
    buffer: usize,
}

impl<N> PingPong<N> {
    fn new(streams: usize, buffer: usize) -> Self {
        Self { network: PhantomData, payload: payload(), streams, buffer }
    }
}

impl<N: Network> Measure for PingPong<N> {
    fn run<C: Contestant>(&self, work: Work) -> io::Result<Option<Duration>> {
        let Work { operations, look, round } = work;
        let check = || self.payload.check(look == Look::Thorough);
        let rounds = operations.div_ceil(self.streams as u64);
        let time = network::cpu_time::<N, _>(self.streams, round, |pairs| {
            let mut tasks = Vec::new();
            for (client, server) in pairs {
                let client = C::link(client, Role::Client, false)?;
                let server = C::link(server, Role::Server, false)?;
                let client = End::new(client, check(), self.buffer);
                let server = End::new(server, check(), self.buffer);
                tasks.push(tokio::spawn(server.answer(self.payload.clone(), rounds)));
                tasks.push(tokio::spawn(client.ask(self.payload.clone(), rounds)));
            }
            Some(async move {
                for task in tasks {
                    join(task).await?;
                }
                Ok(())
            })
        })?;
        let done = rounds * self.streams as u64;
        Ok(time.map(|time| time.mul_f64(operations as f64 / done as f64)))
    }
}

/// One end of a stream.
struct End<L> {
    link: L,
    check: Check,
    buf: Vec<u8>,
}

impl<L: Link> End<L> {
    fn new(link: L, check: Check, buffer: usize) -> Self {
        Self { link, check, buf: vec![0; buffer] }
    }

    async fn ask(mut self, payload: Payload, rounds: u64) -> io::Result<()> {
        for n in 0..rounds {
            self.send(&payload, n).await?;
            self.receive().await?;
        }
        Ok(())
    }

    async fn answer(mut self, payload: Payload, rounds: u64) -> io::Result<()> {
        for n in 0..rounds {
            self.receive().await?;
            self.send(&payload, n).await?;
        }
        // The client reads the last answer before this end is dropped.
        match self.link.receive(&mut self.buf, &mut self.check).await {
            Ok(_) => Err(io::Error::other("a request too many")),
            Err(_) => Ok(()),
        }
    }

    async fn send(&mut self, payload: &Payload, n: u64) -> io::Result<()> {
        self.link.send(&payload.bytes[payload.message(n)]).await?;
        self.link.flush().await
    }

    async fn receive(&mut self) -> io::Result<()> {
        let mut received = 0;
        while received < SIZE {
            let buf = &mut self.buf[received..];
            received += self.link.receive(buf, &mut self.check).await?;
        }
        if received == SIZE { Ok(()) } else { Err(io::Error::other("too many bytes arrived")) }
    }
}

/// An operation is a request and its response, in a codec's frames.
#[derive(Clone)]
struct Requests<N> {
    network: PhantomData<N>,
    payload: Payload,
    pipelined: u64,
}

impl<N: Network> MeasureStream for Requests<N> {
    fn run<C: ByteStream>(&self, work: Work) -> io::Result<Option<Duration>> {
        let Work { operations, look, round } = work;
        let batches = operations.div_ceil(self.pipelined);
        let check = self.payload.check(look == Look::Thorough);
        let time = network::cpu_time::<N, _>(1, round, |mut pairs| {
            let (client, server) = pairs.pop()?;
            let client = C::stream(client, Role::Client, false)?;
            let server = C::stream(server, Role::Server, false)?;
            let done = batches * self.pipelined;
            let serving = tokio::spawn(serve(server, done));
            let asking = request(client, self.payload.clone(), check, batches, self.pipelined);
            let asking = tokio::spawn(asking);
            Some(async move {
                // Both are held until both are done: dropping one would end the connection.
                let (_client, _server) = (join(asking).await?, join(serving).await?);
                Ok(())
            })
        })?;
        let done = batches * self.pipelined;
        Ok(time.map(|time| time.mul_f64(operations as f64 / done as f64)))
    }
}

async fn request<T: Transport>(
    stream: T,
    payload: Payload,
    mut check: Check,
    batches: u64,
    pipelined: u64,
) -> io::Result<impl Send> {
    let mut frames = Framed::new(stream, LengthDelimitedCodec::new());
    for batch in 0..batches {
        for n in 0..pipelined {
            let message = payload.message(batch * pipelined + n);
            frames.feed(Bytes::copy_from_slice(&payload.bytes[message])).await?;
        }
        SinkExt::<Bytes>::flush(&mut frames).await?;
        for _ in 0..pipelined {
            let response = frames.next().await.ok_or(io::ErrorKind::UnexpectedEof)??;
            check.take(&response)?;
        }
    }
    Ok(frames)
}

/// Sends back each request. It flushes when no other request is there already.
async fn serve<T: Transport>(stream: T, requests: u64) -> io::Result<impl Send> {
    let mut frames = Framed::new(stream, LengthDelimitedCodec::new());
    for _ in 0..requests {
        let request = frames.next().await.ok_or(io::ErrorKind::UnexpectedEof)??;
        frames.feed(request.freeze()).await?;
        // 4 bytes of length and the request.
        if frames.read_buffer().len() < SIZE + 4 {
            SinkExt::<Bytes>::flush(&mut frames).await?;
        }
    }
    Ok(frames)
}
