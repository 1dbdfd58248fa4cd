//! Bytes that flow: one way, both ways, through a `BufWriter`.

use super::{
    Case, Look, Measure, MeasureStream, Work, mask_name,
    network::{self, Duplex, Http2, Network, Tcp, join},
    short,
};
use crate::{
    contestants::{ByteStream, Bytes, Contestant, Link, Role, Transport},
    payload::{Check, Content, Payload},
};
use std::{
    io,
    marker::PhantomData,
    sync::{Arc, Barrier},
    thread,
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWriteExt, BufWriter},
    net::TcpStream,
};

/// The reader's buffer.
const BUFFER: usize = 64 << 10;
const TURN: Duration = Duration::from_millis(20);

pub fn cases() -> Vec<Case> {
    let mut cases = network_cases::<Duplex>(&[64, 1 << 10, 16 << 10, 64 << 10]);
    cases.extend(network_cases::<Tcp>(&[64, 1 << 10, 16 << 10, 64 << 10, 1 << 20]));
    // Many small DATA frames that wait unread end an HTTP/2 connection; nobody writes so without a
    // `BufWriter`.
    cases.extend(network_cases::<Http2>(&[16 << 10, 64 << 10, 1 << 20]));
    for masked in [false, true] {
        for size in [16 << 10, 64 << 10, 1 << 20] {
            let name = format!("tcp-two-threads/{}/{}", short(size), mask_name(masked));
            let payload = Payload::new(Content::Binary, size);
            cases.push(Measure::case(TwoThreads { payload, masked }, name, TURN));
        }
    }
    cases
}

fn network_cases<N: Network>(sizes: &[usize]) -> Vec<Case> {
    let mut cases = Vec::new();
    for masked in [false, true] {
        for &size in sizes {
            let name = format!("{}/flow/{}/{}", N::NAME, short(size), mask_name(masked));
            let payload = Payload::new(Content::Binary, size);
            let flow = Flow { network: PhantomData::<N>, payload, masked };
            cases.push(Measure::case(flow, name, TURN));
        }
        for size in [64, 1 << 10] {
            let name = format!("{}/bufwriter/{}/{}", N::NAME, short(size), mask_name(masked));
            let payload = Payload::new(Content::Binary, size);
            let buffered = Buffered { network: PhantomData::<N>, payload, masked };
            cases.push(MeasureStream::case(buffered, name, TURN));
        }
    }
    let payload = Payload::new(Content::Binary, 16 << 10);
    let both = BothWays { network: PhantomData::<N>, payload };
    cases.push(MeasureStream::case(both, format!("{}/both-ways/16K", N::NAME), TURN));
    cases
}

/// The client's and the server's end, as sender and receiver. Clients mask.
fn sender_first<T>(masked: bool, client: T, server: T) -> (T, T) {
    if masked { (client, server) } else { (server, client) }
}

const fn roles(masked: bool) -> (Role, Role) {
    if masked { (Role::Client, Role::Server) } else { (Role::Server, Role::Client) }
}

async fn send(mut link: impl Link, payload: Payload, messages: u64) -> io::Result<impl Link> {
    for n in 0..messages {
        link.send(&payload.bytes[payload.message(n)]).await?;
    }
    link.flush().await?;
    // It isn't dropped before the other end has all: that would end the connection.
    Ok(link)
}

async fn receive(link: &mut impl Link, mut check: Check, bytes: u64) -> io::Result<()> {
    let mut buf = vec![0; BUFFER];
    let mut received = 0;
    while received < bytes {
        received += link.receive(&mut buf, &mut check).await? as u64;
    }
    if received == bytes { Ok(()) } else { Err(io::Error::other("too many bytes arrived")) }
}

/// A task that sends, and this one, which receives.
async fn one_way(
    from: impl Link + 'static,
    mut to: impl Link,
    payload: Payload,
    messages: u64,
    check: Check,
) -> io::Result<()> {
    let bytes = messages * payload.size as u64;
    let sending = tokio::spawn(send(from, payload, messages));
    receive(&mut to, check, bytes).await?;
    join(sending).await.map(drop)
}

/// An operation is a message from one end to the other. The time is that of both ends.
#[derive(Clone)]
struct Flow<N> {
    network: PhantomData<N>,
    payload: Payload,
    masked: bool,
}

impl<N: Network> Measure for Flow<N> {
    fn run<C: Contestant>(&self, work: Work) -> io::Result<Option<Duration>> {
        let Work { operations, look, round } = work;
        let check = self.payload.check(look == Look::Thorough);
        network::cpu_time::<N, _>(1, round, |mut pairs| {
            let (client, server) = pairs.pop()?;
            let (from, to) = sender_first(self.masked, client, server);
            let (sender, receiver) = roles(self.masked);
            let from = C::link(from, sender, false)?;
            let to = C::link(to, receiver, false)?;
            Some(one_way(from, to, self.payload.clone(), operations, check))
        })
    }
}

/// An operation is a small write into a `BufWriter`.
#[derive(Clone)]
struct Buffered<N> {
    network: PhantomData<N>,
    payload: Payload,
    masked: bool,
}

impl<N: Network> MeasureStream for Buffered<N> {
    fn run<C: ByteStream>(&self, work: Work) -> io::Result<Option<Duration>> {
        let Work { operations, look, round } = work;
        let check = self.payload.check(look == Look::Thorough);
        network::cpu_time::<N, _>(1, round, |mut pairs| {
            let (client, server) = pairs.pop()?;
            let (from, to) = sender_first(self.masked, client, server);
            let (sender, receiver) = roles(self.masked);
            let from = Bytes(BufWriter::new(C::stream(from, sender, false)?));
            let to = Bytes(C::stream(to, receiver, false)?);
            Some(one_way(from, to, self.payload.clone(), operations, check))
        })
    }
}

/// An operation is a message from each end to the other, at once.
#[derive(Clone)]
struct BothWays<N> {
    network: PhantomData<N>,
    payload: Payload,
}

impl<N: Network> MeasureStream for BothWays<N> {
    fn run<C: ByteStream>(&self, work: Work) -> io::Result<Option<Duration>> {
        let Work { operations, look, round } = work;
        let thorough = look == Look::Thorough;
        network::cpu_time::<N, _>(1, round, |mut pairs| {
            let (client, server) = pairs.pop()?;
            let client = C::stream(client, Role::Client, false)?;
            let server = C::stream(server, Role::Server, false)?;
            let ends = [
                both_ways(client, self.payload.clone(), thorough, operations),
                both_ways(server, self.payload.clone(), thorough, operations),
            ];
            let [a, b] = ends.map(tokio::spawn);
            Some(async move {
                // Both are held until both are done: dropping one would end the connection.
                let (_a, _b) = (join(a).await?, join(b).await?);
                Ok(())
            })
        })
    }
}

/// One end: a task that writes, and one that reads.
async fn both_ways<T: Transport>(
    stream: T,
    payload: Payload,
    thorough: bool,
    messages: u64,
) -> io::Result<T> {
    let (mut reads, mut writes) = tokio::io::split(stream);
    let check = payload.check(thorough);
    let bytes = messages * payload.size as u64;
    let writing = tokio::spawn(async move {
        for n in 0..messages {
            writes.write_all(&payload.bytes[payload.message(n)]).await?;
        }
        writes.flush().await?;
        Ok(writes)
    });
    read(&mut reads, check, bytes).await?;
    Ok(reads.unsplit(join(writing).await?))
}

async fn read(from: &mut (impl AsyncRead + Unpin), mut check: Check, bytes: u64) -> io::Result<()> {
    let mut buf = vec![0; BUFFER];
    let mut received = 0;
    while received < bytes {
        let n = from.read(&mut buf).await?;
        if n == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        check.take(&buf[..n])?;
        received += n as u64;
    }
    Ok(())
}

/// Like a flow over TCP, with each end on a thread of its own. The time is that of the clock.
#[derive(Clone)]
struct TwoThreads {
    payload: Payload,
    masked: bool,
}

impl Measure for TwoThreads {
    fn run<C: Contestant>(&self, work: Work) -> io::Result<Option<Duration>> {
        let Work { operations, look, round } = work;
        let check = self.payload.check(look == Look::Thorough);
        let (client, server) = network::runtime()?.block_on(async {
            let (client, server) = network::pair::<Tcp>(round).await?;
            io::Result::Ok((client.into_std()?, server.into_std()?))
        })?;
        let (from, to) = sender_first(self.masked, client, server);
        let (sender, receiver) = roles(self.masked);
        let together = Arc::new(Barrier::new(2));
        let sending = thread::spawn({
            let (payload, together) = (self.payload.clone(), Arc::clone(&together));
            move || {
                let runtime = network::runtime()?;
                let _entered = runtime.enter();
                let link = C::link(TcpStream::from_std(from)?, sender, false);
                together.wait();
                let Some(link) = link else { return Ok(()) };
                runtime.block_on(network::in_time(send(link, payload, operations))).map(drop)
            }
        });
        let runtime = network::runtime()?;
        let _entered = runtime.enter();
        let link = C::link(TcpStream::from_std(to)?, receiver, false);
        together.wait();
        let start = Instant::now();
        let bytes = operations * self.payload.size as u64;
        let received = link.map(|mut link| {
            let receiving = receive(&mut link, check, bytes);
            let result = runtime.block_on(network::in_time(receiving));
            result.map(|()| start.elapsed())
        });
        let sent: io::Result<()> = sending.join().expect("a sender doesn't panic");
        sent?;
        received.transpose()
    }
}
