//! The stream's own cost, frames from memory and writes into it: for daily work.
//!
//! `cargo bench` runs it. How that compares with the transport and with other crates, the package
//! `benchmark` tells.

#[allow(
    dead_code,
    unused_imports,
    unreachable_pub,
    reason = "the package `benchmark` has the rest"
)]
#[path = "src/memory.rs"]
mod memory;
#[allow(
    dead_code,
    unused_imports,
    unreachable_pub,
    reason = "the package `benchmark` has the rest"
)]
#[path = "src/payload.rs"]
mod payload;
#[allow(
    dead_code,
    unused_imports,
    unreachable_pub,
    reason = "the package `benchmark` has the rest"
)]
#[path = "src/wire.rs"]
mod wire;

use divan::{Bencher, counter::BytesCount};
use fastwebsockets_stream::{PayloadType, WebSocketStream, fastwebsockets::Role};
use futures_util::FutureExt;
use memory::{Memory, Written};
use payload::{Content, Payload};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const SIZES: [usize; 5] = [64, 1 << 10, 16 << 10, 64 << 10, 1 << 20];
/// The reader's buffer.
const BUFFER: usize = 64 << 10;

fn main() {
    divan::main();
}

/// Each iteration fills the buffer once, from as many frames as that takes.
fn read(bencher: Bencher<'_, '_>, content: Content, size: usize, masked: bool) {
    let payload = Payload::new(content, size);
    let mut frames = Vec::new();
    for message in payload.bytes.chunks(size) {
        wire::frame(content.is_text(), masked, message, &mut frames);
    }
    let memory = Memory::source(frames.into(), usize::MAX);
    let role = if masked { Role::Server } else { Role::Client };
    let mut stream = WebSocketStream::after_handshake(memory, role, payload_type(content));
    let mut check = payload.check(false);
    let mut buf = vec![0; BUFFER];
    bencher.counter(BytesCount::new(BUFFER)).bench_local(|| {
        // Memory is always ready.
        let read = stream.read_exact(&mut buf).now_or_never().expect("bytes are there");
        read.expect("frames are right");
        check.take(&buf).expect("payload arrives as it is");
    });
}

/// Each iteration is one write.
fn write(bencher: Bencher<'_, '_>, content: Content, size: usize, masked: bool) {
    let payload = Payload::new(content, size);
    let role = if masked { Role::Client } else { Role::Server };
    let written = Written::default();
    let memory = Memory::sink(written.clone());
    let mut stream = WebSocketStream::after_handshake(memory, role, payload_type(content));
    let mut n = 0;
    bencher.counter(BytesCount::new(size)).bench_local(|| {
        let message = &payload.bytes[payload.message(n)];
        // Memory takes everything.
        let write = stream.write_all(message).now_or_never().expect("there is room");
        write.expect("memory doesn't fail");
        n += 1;
    });
    assert!(written.count() >= n * size as u64, "bytes are missing");
}

fn payload_type(content: Content) -> PayloadType {
    if content.is_text() { PayloadType::Text } else { PayloadType::Binary }
}

#[divan::bench(args = SIZES, min_time = 0.1)]
fn read_plain(bencher: Bencher<'_, '_>, size: usize) {
    read(bencher, Content::Binary, size, false);
}

#[divan::bench(args = SIZES, min_time = 0.1)]
fn read_masked(bencher: Bencher<'_, '_>, size: usize) {
    read(bencher, Content::Binary, size, true);
}

#[divan::bench(args = SIZES, min_time = 0.1)]
fn read_mixed_text(bencher: Bencher<'_, '_>, size: usize) {
    read(bencher, Content::Mixed, size, true);
}

#[divan::bench(args = SIZES, min_time = 0.1)]
fn write_plain(bencher: Bencher<'_, '_>, size: usize) {
    write(bencher, Content::Binary, size, false);
}

#[divan::bench(args = SIZES, min_time = 0.1)]
fn write_masked(bencher: Bencher<'_, '_>, size: usize) {
    write(bencher, Content::Binary, size, true);
}

#[divan::bench(args = SIZES, min_time = 0.1)]
fn write_mixed_text(bencher: Bencher<'_, '_>, size: usize) {
    write(bencher, Content::Mixed, size, true);
}
