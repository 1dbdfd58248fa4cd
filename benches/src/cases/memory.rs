//! The adapter's own cost: frames that are ready in memory, and a sink that takes everything. The
//! bare transport is one memory copy here.

use super::{Case, Look, Measure, MeasureStream, Work, mask_name, short};
use crate::{
    contestants::{ByteStream, Contestant, Kind, Link, Role},
    memory::{Memory, Written},
    payload::{Content, Payload},
    wire,
};
use cpu_time::ThreadTime;
use std::{
    cell::OnceCell,
    future::poll_fn,
    io::{self, IoSlice},
    pin::Pin,
    rc::Rc,
    sync::Arc,
    time::Duration,
};
use tokio::{
    io::{AsyncWrite, AsyncWriteExt},
    runtime,
};

/// What arrives on Ethernet in one piece.
const SEGMENT: usize = 1448;
/// The first part of a vectored write: the head of some protocol.
const HEAD: usize = 16;

const TURN: Duration = Duration::from_millis(5);

pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for masked in [false, true] {
        for size in [64, 1 << 10, 16 << 10, 64 << 10, 1 << 20] {
            for buffer in [64, 16 << 10, 64 << 10] {
                cases.push(read(Content::Binary, size, buffer, usize::MAX, masked));
            }
            cases.push(write(Content::Binary, size, false, masked));
            cases.push(write(Content::Binary, size, true, masked));
        }
        cases.push(read(Content::Binary, 64 << 10, 64 << 10, SEGMENT, masked));
        for content in [Content::Ascii, Content::Mixed] {
            cases.push(read(content, 64 << 10, 64 << 10, usize::MAX, masked));
            cases.push(write(content, 64 << 10, false, masked));
        }
        let sent = Sent::new(Content::Binary, 16 << 10, masked);
        let name = format!("memory/vectored/16+16K/{}", mask_name(masked));
        cases.push(MeasureStream::case(Vectored { sent }, name, TURN));
    }
    cases
}

fn read(content: Content, size: usize, buffer: usize, piece: usize, masked: bool) -> Case {
    let mut name = format!("memory/read/{}/into/{}", short(size), short(buffer));
    if piece != usize::MAX {
        name = format!("{name}/pieces/{piece}");
    }
    let name = name_rest(name, content, masked);
    Measure::case(Read { sent: Sent::new(content, size, masked), buffer, piece }, name, TURN)
}

fn write(content: Content, size: usize, flushed: bool, masked: bool) -> Case {
    let mut name = format!("memory/write/{}", short(size));
    if flushed {
        name.push_str("/flushed");
    }
    let name = name_rest(name, content, masked);
    Measure::case(Write { sent: Sent::new(content, size, masked), flushed }, name, TURN)
}

fn name_rest(name: String, content: Content, masked: bool) -> String {
    let content = if content.is_text() { format!("/{content}") } else { String::new() };
    format!("{name}{content}/{}", mask_name(masked))
}

/// The CPU time of a future that only this thread works on.
fn cpu_time<T>(future: impl Future<Output = io::Result<T>>) -> io::Result<(T, Duration)> {
    let runtime = runtime::Builder::new_current_thread().build()?;
    runtime.block_on(async {
        let start = ThreadTime::now();
        let result = future.await?;
        Ok((result, start.elapsed()))
    })
}

/// What is sent. It is made when it is first needed, and once.
#[derive(Clone)]
struct Sent {
    content: Content,
    size: usize,
    masked: bool,
    made: Rc<OnceCell<(Payload, Arc<[u8]>)>>,
}

impl Sent {
    fn new(content: Content, size: usize, masked: bool) -> Self {
        Self { content, size, masked, made: Rc::default() }
    }

    fn made(&self) -> &(Payload, Arc<[u8]>) {
        self.made.get_or_init(|| {
            let payload = Payload::new(self.content, self.size);
            let mut frames = Vec::new();
            for message in payload.bytes.chunks(self.size) {
                wire::frame(self.content.is_text(), self.masked, message, &mut frames);
            }
            (payload, frames.into())
        })
    }

    fn payload(&self) -> &Payload {
        &self.made().0
    }

    /// What the transport gives.
    fn source(&self, kind: Kind) -> Arc<[u8]> {
        let (payload, frames) = self.made();
        Arc::clone(if kind == Kind::Bare { &payload.bytes } else { frames })
    }

    fn sender(&self) -> Role {
        if self.masked { Role::Client } else { Role::Server }
    }

    fn receiver(&self) -> Role {
        if self.masked { Role::Server } else { Role::Client }
    }
}

/// An operation is a message that is read.
#[derive(Clone)]
struct Read {
    sent: Sent,
    buffer: usize,
    piece: usize,
}

impl Measure for Read {
    fn run<C: Contestant>(&self, work: Work) -> io::Result<Option<Duration>> {
        let Work { operations, look, .. } = work;
        let memory = Memory::source(self.sent.source(C::KIND), self.piece);
        let text = self.sent.content.is_text();
        let Some(mut link) = C::link(memory, self.sent.receiver(), text) else {
            return Ok(None);
        };
        let mut check = self.sent.payload().check(look == Look::Thorough);
        let mut buf = vec![0; self.buffer];
        let wanted = operations * self.sent.size as u64;
        let reading = async {
            let mut received = 0;
            while received < wanted {
                received += link.receive(&mut buf, &mut check).await? as u64;
            }
            Ok(received)
        };
        let (received, time) = cpu_time(reading)?;
        // The last read may have given more than was asked for.
        Ok(Some(time.mul_f64(wanted as f64 / received as f64)))
    }
}

/// An operation is a message that is written.
#[derive(Clone)]
struct Write {
    sent: Sent,
    /// A flush after each message, or one at the end.
    flushed: bool,
}

impl Measure for Write {
    fn run<C: Contestant>(&self, work: Work) -> io::Result<Option<Duration>> {
        let Work { operations, look, .. } = work;
        let payload = self.sent.payload();
        let written = sink(look);
        let memory = Memory::sink(written.clone());
        let text = self.sent.content.is_text();
        let Some(mut link) = C::link(memory, self.sent.sender(), text) else {
            return Ok(None);
        };
        let ((), time) = cpu_time(async {
            for n in 0..operations {
                link.send(&payload.bytes[payload.message(n)]).await?;
                if self.flushed {
                    link.flush().await?;
                }
            }
            link.flush().await
        })?;
        let len = operations as usize * payload.size;
        let expected = || payload.bytes.iter().cycle().take(len).copied();
        check_written(&written, look, C::KIND, &self.sent, len, expected)?;
        Ok(Some(time))
    }
}

/// An operation is a head and a body in one vectored write.
#[derive(Clone)]
struct Vectored {
    sent: Sent,
}

impl MeasureStream for Vectored {
    fn run<C: ByteStream>(&self, work: Work) -> io::Result<Option<Duration>> {
        let Work { operations, look, .. } = work;
        let payload = self.sent.payload();
        let written = sink(look);
        let memory = Memory::sink(written.clone());
        let Some(mut stream) = C::stream(memory, self.sent.sender(), false) else {
            return Ok(None);
        };
        let ((), time) = cpu_time(async {
            for n in 0..operations {
                let body = &payload.bytes[payload.message(n)];
                let mut slices = [IoSlice::new(&body[..HEAD]), IoSlice::new(body)];
                write_all_vectored(&mut stream, &mut slices).await?;
            }
            stream.flush().await
        })?;
        let expected = || {
            (0..operations).flat_map(|n| {
                let body = &payload.bytes[payload.message(n)];
                body[..HEAD].iter().chain(body).copied()
            })
        };
        let len = operations as usize * (HEAD + payload.size);
        check_written(&written, look, C::KIND, &self.sent, len, expected)?;
        Ok(Some(time))
    }
}

async fn write_all_vectored<T: AsyncWrite + Unpin>(
    stream: &mut T,
    mut slices: &mut [IoSlice<'_>],
) -> io::Result<()> {
    while !slices.is_empty() {
        let n = poll_fn(|cx| Pin::new(&mut *stream).poll_write_vectored(cx, slices)).await?;
        if n == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        IoSlice::advance_slices(&mut slices, n);
    }
    Ok(())
}

fn sink(look: Look) -> Written {
    match look {
        Look::Sample => Written::default(),
        Look::Thorough => Written::recorded(),
    }
}

/// Nothing is missing; and if each byte is to be looked at, takes apart what was written, and
/// compares it.
fn check_written<I: Iterator<Item = u8>>(
    written: &Written,
    look: Look,
    kind: Kind,
    sent: &Sent,
    len: usize,
    expected: impl Fn() -> I,
) -> io::Result<()> {
    let count = written.count();
    if count < len as u64 {
        return Err(io::Error::other(format!("{count} of {len} bytes were written")));
    }
    if look == Look::Sample {
        return Ok(());
    }
    let mut payload = written.bytes();
    if kind != Kind::Bare {
        payload = wire::payload(sent.content.is_text(), sent.masked, &payload)?;
    }
    if payload.into_iter().eq(expected()) {
        Ok(())
    } else {
        Err(io::Error::other("wrong bytes were written"))
    }
}
