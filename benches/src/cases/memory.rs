//! The adapter's own cost: frames that are ready in memory, and a sink that takes everything. The
//! bare transport is one memory copy here.

use super::{Case, Look, Measure, MeasureStream, mask_name, short};
use crate::{
    contestants::{ByteStream, Contestant, Kind, Link, Role},
    memory::{Memory, Written},
    payload::{Content, Payload},
    wire,
};
use cpu_time::ThreadTime;
use std::future::poll_fn;
use std::{
    io::{self, IoSlice},
    pin::Pin,
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

pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for masked in [false, true] {
        for size in [64, 1 << 10, 16 << 10, 64 << 10, 1 << 20] {
            for buffer in [64, 16 << 10, 64 << 10] {
                cases.push(read(Content::Binary, size, buffer, usize::MAX, masked));
            }
            cases.push(write(Content::Binary, size, masked));
        }
        cases.push(read(Content::Binary, 64 << 10, 64 << 10, SEGMENT, masked));
        for content in [Content::Ascii, Content::Mixed] {
            cases.push(read(content, 64 << 10, 64 << 10, usize::MAX, masked));
            cases.push(write(content, 64 << 10, masked));
        }
        let payload = Payload::new(Content::Binary, 16 << 10);
        let name = format!("memory/vectored/16+16K/{}", mask_name(masked));
        cases.push(MeasureStream::case(Vectored { payload, masked }, name));
    }
    cases
}

fn read(content: Content, size: usize, buffer: usize, piece: usize, masked: bool) -> Case {
    let mut name = format!("memory/read/{}/into/{}", short(size), short(buffer));
    if piece != usize::MAX {
        name = format!("{name}/pieces/{piece}");
    }
    let name = name_rest(name, content, masked);
    Measure::case(Read { content, size, buffer, piece, masked }, name)
}

fn write(content: Content, size: usize, masked: bool) -> Case {
    let name = name_rest(format!("memory/write/{}", short(size)), content, masked);
    Measure::case(Write { content, size, masked }, name)
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

/// An operation is a message that is read.
#[derive(Clone)]
struct Read {
    content: Content,
    size: usize,
    buffer: usize,
    piece: usize,
    masked: bool,
}

impl Read {
    /// What the transport gives.
    fn source(&self, payload: &Payload, kind: Kind) -> Arc<[u8]> {
        if kind == Kind::Bare {
            return Arc::clone(&payload.bytes);
        }
        let mut frames = Vec::new();
        for message in payload.bytes.chunks(payload.size) {
            wire::frame(payload.content.is_text(), self.masked, message, &mut frames);
        }
        frames.into()
    }
}

impl Measure for Read {
    fn run<C: Contestant>(&self, operations: u64, look: Look) -> io::Result<Option<Duration>> {
        let payload = Payload::new(self.content, self.size);
        let memory = Memory::source(self.source(&payload, C::KIND), self.piece);
        let role = if self.masked { Role::Server } else { Role::Client };
        let Some(mut link) = C::link(memory, role, payload.content.is_text()) else {
            return Ok(None);
        };
        let mut check = payload.check(look == Look::Thorough);
        let mut buf = vec![0; self.buffer];
        let wanted = operations * self.size as u64;
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
    content: Content,
    size: usize,
    masked: bool,
}

impl Measure for Write {
    fn run<C: Contestant>(&self, operations: u64, look: Look) -> io::Result<Option<Duration>> {
        let payload = Payload::new(self.content, self.size);
        let role = if self.masked { Role::Client } else { Role::Server };
        let written = sink(look);
        let text = payload.content.is_text();
        let Some(mut link) = C::link(Memory::sink(written.clone()), role, text) else {
            return Ok(None);
        };
        let ((), time) = cpu_time(async {
            for n in 0..operations {
                link.send(&payload.bytes[payload.message(n)]).await?;
            }
            Ok(())
        })?;
        let expected =
            || payload.bytes.iter().cycle().take(operations as usize * self.size).copied();
        check_written(&written, look, C::KIND, text, self.masked, expected)?;
        let count = written.count();
        if count < operations * self.size as u64 {
            return Err(io::Error::other(format!("only {count} bytes were written")));
        }
        Ok(Some(time))
    }
}

/// An operation is a head and a body in one vectored write.
#[derive(Clone)]
struct Vectored {
    payload: Payload,
    masked: bool,
}

impl MeasureStream for Vectored {
    fn run<C: ByteStream>(&self, operations: u64, look: Look) -> io::Result<Option<Duration>> {
        let payload = &self.payload;
        let role = if self.masked { Role::Client } else { Role::Server };
        let written = sink(look);
        let Some(mut stream) = C::stream(Memory::sink(written.clone()), role, false) else {
            return Ok(None);
        };
        let ((), time) = cpu_time(async {
            for n in 0..operations {
                let body = &payload.bytes[payload.message(n)];
                let mut slices = [IoSlice::new(&body[..HEAD]), IoSlice::new(body)];
                write_all_vectored(&mut stream, &mut slices).await?;
            }
            Ok(())
        })?;
        let expected = || {
            (0..operations).flat_map(|n| {
                let body = &payload.bytes[payload.message(n)];
                body[..HEAD].iter().chain(body).copied()
            })
        };
        check_written(&written, look, C::KIND, false, self.masked, expected)?;
        if written.count() < operations * (HEAD + payload.size) as u64 {
            return Err(io::Error::other("bytes are missing"));
        }
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
    stream.flush().await
}

fn sink(look: Look) -> Written {
    match look {
        Look::Sample => Written::default(),
        Look::Thorough => Written::recorded(),
    }
}

/// Takes apart what was written, and compares it.
fn check_written<I: Iterator<Item = u8>>(
    written: &Written,
    look: Look,
    kind: Kind,
    text: bool,
    masked: bool,
    expected: impl Fn() -> I,
) -> io::Result<()> {
    if look == Look::Sample {
        return Ok(());
    }
    let bytes = written.bytes();
    let payload = if kind == Kind::Bare { bytes } else { wire::payload(text, masked, &bytes)? };
    if payload.into_iter().eq(expected()) {
        Ok(())
    } else {
        Err(io::Error::other("wrong bytes were written"))
    }
}
