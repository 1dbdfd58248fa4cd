//! What each contestant keeps on the heap: while idle, on a huge frame, and a message.
//!
//! A program of its own: counting makes each allocation slower, which would be unfair to those
//! that allocate in the benchmark.

use allocation_counter::{AllocationInfo, measure};
use benchmark::{
    contestants::{Contestant, Kind, Link, Role},
    for_each_loop, for_each_stream,
    memory::{Memory, Written},
    payload::{Content, Payload},
    report::json,
    wire,
};
use futures_util::FutureExt;
use serde_json::{Map, Value, json};
use std::{fs, io, path::PathBuf, process::ExitCode, sync::Arc};

/// The frame whose length nobody should believe.
const HUGE: usize = 256 << 20;
/// Messages over which allocations are counted.
const MESSAGES: u64 = 1000;
/// Bytes of a message.
const SIZE: usize = 1 << 10;

/// In bytes, if not said otherwise.
struct Heap {
    /// Of the value itself, without what it points to.
    size: usize,
    /// After a message each way.
    idle: i64,
    /// The same after messages of 64 KiB.
    idle_after_64k: i64,
    /// While it reads one frame of 256 MiB into 64 KiB.
    peak_of_huge_frame: u64,
    /// Allocations of a message.
    per_read: f64,
    per_write: f64,
}

fn main() -> io::Result<ExitCode> {
    let huge = huge_frame();
    println!(
        "{:27} {:>6} {:>8} {:>14} {:>16} {:>11} {:>12}",
        "bytes", "struct", "idle", "after 64 KiB", "peak at 256 MiB", "allocs/read", "allocs/write"
    );
    let mut contestants = Map::new();
    let mut is_met = false;
    macro_rules! enter {
        ($contestant:ty) => {{
            let name = <$contestant as Contestant>::NAME;
            match heap::<$contestant>(&huge) {
                Ok(heap) => {
                    print(name, &heap);
                    if <$contestant as Contestant>::KIND == Kind::Ours {
                        is_met = heap.is_none();
                    }
                    contestants.insert(name.into(), heap.to_json());
                }
                Err(error) => {
                    println!("{name:27} failed: {error}");
                    contestants.insert(name.into(), json!({ "failed": error.to_string() }));
                }
            }
        }};
    }
    for_each_stream!(enter);
    for_each_loop!(enter);
    let verdict = if is_met { "met" } else { "MISSED" };
    println!("\nnone while idle, none for a message, none for a huge frame: {verdict}");
    let results = json!({ "machine": json::machine(), "contestants": contestants });
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("heap.json");
    fs::write(file, format!("{results:#}\n"))?;
    Ok(if is_met { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

impl Heap {
    fn is_none(&self) -> bool {
        self.idle == 0
            && self.idle_after_64k == 0
            && self.peak_of_huge_frame == 0
            && self.per_read == 0.0
            && self.per_write == 0.0
    }

    fn to_json(&self) -> Value {
        json!({
            "struct": self.size,
            "idle": self.idle,
            "idle_after_64k": self.idle_after_64k,
            "peak_of_256m_frame": self.peak_of_huge_frame,
            "allocations_per_read": self.per_read,
            "allocations_per_write": self.per_write,
        })
    }
}

fn print(name: &str, heap: &Heap) {
    let Heap { size, idle, idle_after_64k, peak_of_huge_frame, per_read, per_write } = heap;
    println!(
        "{name:27} {size:6} {idle:8} {idle_after_64k:14} {peak_of_huge_frame:16} {per_read:11.2} \
         {per_write:12.2}"
    );
}

fn heap<C: Contestant>(huge: &Huge) -> io::Result<Heap> {
    Ok(Heap {
        size: size_of::<C::Link<Memory>>(),
        idle: idle::<C>(SIZE)?,
        idle_after_64k: idle::<C>(64 << 10)?,
        peak_of_huge_frame: peak::<C>(huge)?,
        per_read: per_message(|n| allocations_of_reads::<C>(n))?,
        per_write: per_message(|n| allocations_of_writes::<C>(n))?,
    })
}

/// Frames that a client sends.
fn source<C: Contestant>(payload: &Payload) -> Arc<[u8]> {
    if C::KIND == Kind::Bare {
        return Arc::clone(&payload.bytes);
    }
    let mut frames = Vec::new();
    for message in payload.bytes.chunks(payload.size) {
        wire::frame(false, true, message, &mut frames);
    }
    frames.into()
}

/// What is measured, with the result of what was done meanwhile.
fn measured<T>(work: impl FnOnce() -> io::Result<T>) -> io::Result<(T, AllocationInfo)> {
    let mut result = Err(io::ErrorKind::Other.into());
    let info = measure(|| result = work());
    Ok((result?, info))
}

fn link<C: Contestant>(memory: Memory, role: Role) -> io::Result<C::Link<Memory>> {
    C::link(memory, role, false).ok_or_else(|| io::ErrorKind::Unsupported.into())
}

/// Memory is always ready.
fn now<T>(work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    work.now_or_never().ok_or(io::ErrorKind::WouldBlock)?
}

/// What stays after a message each way.
fn idle<C: Contestant>(size: usize) -> io::Result<i64> {
    let payload = Payload::new(Content::Binary, size);
    // One message, and it is over: nothing is buffered ahead.
    let mut frame = payload.bytes[..size].to_vec();
    if C::KIND != Kind::Bare {
        frame.clear();
        wire::frame(false, true, &payload.bytes[..size], &mut frame);
    }
    let memory = Memory::once(frame);
    let mut check = payload.check(true);
    let mut buf = vec![0; 64 << 10];
    let (_link, info) = measured(|| {
        let mut link = link::<C>(memory, Role::Server)?;
        now(async {
            let mut received = 0;
            while received < size {
                received += link.receive(&mut buf, &mut check).await?;
            }
            link.send(&payload.bytes[..size]).await?;
            link.flush().await
        })?;
        Ok(link)
    })?;
    Ok(info.bytes_current)
}

struct Huge {
    payload: Payload,
    frame: Arc<[u8]>,
}

fn huge_frame() -> Huge {
    let payload = Payload::new(Content::Binary, HUGE);
    let mut frame = Vec::new();
    wire::frame(false, false, &payload.bytes, &mut frame);
    Huge { payload, frame: frame.into() }
}

fn peak<C: Contestant>(huge: &Huge) -> io::Result<u64> {
    let source = if C::KIND == Kind::Bare { &huge.payload.bytes } else { &huge.frame };
    let memory = Memory::source(Arc::clone(source), usize::MAX);
    let mut check = huge.payload.check(false);
    let mut buf = vec![0; 64 << 10];
    let (_link, info) = measured(|| {
        let mut link = link::<C>(memory, Role::Client)?;
        now(async {
            let mut received = 0;
            while received < HUGE {
                received += link.receive(&mut buf, &mut check).await?;
            }
            Ok(())
        })?;
        Ok(link)
    })?;
    Ok(info.bytes_max)
}

/// The difference of two runs, so that what happens once doesn't count.
fn per_message(allocations: impl Fn(u64) -> io::Result<u64>) -> io::Result<f64> {
    let more = allocations(2 * MESSAGES)?.saturating_sub(allocations(MESSAGES)?);
    Ok(more as f64 / MESSAGES as f64)
}

fn allocations_of_reads<C: Contestant>(messages: u64) -> io::Result<u64> {
    let payload = Payload::new(Content::Binary, SIZE);
    let memory = Memory::source(source::<C>(&payload), usize::MAX);
    let mut check = payload.check(false);
    let mut buf = vec![0; SIZE];
    let (_link, info) = measured(|| {
        let mut link = link::<C>(memory, Role::Server)?;
        now(async {
            let mut received = 0;
            while received < messages * SIZE as u64 {
                received += link.receive(&mut buf, &mut check).await? as u64;
            }
            Ok(())
        })?;
        Ok(link)
    })?;
    Ok(info.count_total)
}

fn allocations_of_writes<C: Contestant>(messages: u64) -> io::Result<u64> {
    let payload = Payload::new(Content::Binary, SIZE);
    let memory = Memory::sink(Written::default());
    let (_link, info) = measured(|| {
        let mut link = link::<C>(memory, Role::Client)?;
        now(async {
            for n in 0..messages {
                link.send(&payload.bytes[payload.message(n)]).await?;
                link.flush().await?;
            }
            Ok(())
        })?;
        Ok(link)
    })?;
    Ok(info.count_total)
}
