//! Load: many WebSockets at a time, many one after the other, and both for a long time.
//!
//! `cargo run --release --example load -- [many|churn|soak] [OPTIONS]`
//!
//! | command | what it does |
//! |---|---|
//! | `many` | opens all WebSockets, exchanges messages on each while some close and open again |
//! | `churn` | opens WebSockets, exchanges one message, closes them, one after the other |
//! | `soak` | a mix of both for half an hour, with large transfers beside them |
//! | none | `many`, then `churn` |
//!
//! | option | |
//! |---|---|
//! | `--quick` | a few hundred WebSockets, a few seconds |
//! | `--http1 N`, `--http2 N` | how many WebSockets, over each version of HTTP |
//! | `--connections N` | how many HTTP/2 connections share theirs |
//! | `--seconds N`, `--minutes N` | how long messages are exchanged |
//! | `--json FILE` | writes the figures to a file |
//!
//! The server is a process of its own: this program, started again. Every message is compared with
//! its echo. The program fails if a bound is missed; the table says which bounds there are. Linux
//! only, because it looks into `/proc`.

mod churn;
mod client;
mod exchange;
mod many;
mod measure;
mod report;
mod server;
mod server_process;
mod soak;

#[path = "../common/heap.rs"]
#[allow(dead_code, reason = "another test uses more of it")]
mod heap;
#[path = "../http/mod.rs"]
mod http;
#[path = "../common/process.rs"]
mod process;

use report::Report;
use std::{error::Error, ffi::OsString, path::PathBuf, process::ExitCode, time::Duration};

#[global_allocator]
static ALLOCATOR: heap::Counting = heap::Counting;

type BoxError = Box<dyn Error + Send + Sync>;

/// What the user asks for.
#[derive(Default)]
struct Arguments {
    command: Option<Command>,
    quick: bool,
    http1: Option<usize>,
    http2: Option<usize>,
    connections: Option<usize>,
    duration: Option<Duration>,
    json: Option<PathBuf>,
}

#[derive(Clone, Copy, PartialEq)]
enum Command {
    Many,
    Churn,
    Soak,
    /// The other process.
    Server,
}

/// How much load.
#[derive(Clone, Copy)]
struct Size {
    http1: usize,
    http2: usize,
    connections: usize,
    duration: Duration,
}

impl Arguments {
    fn parse() -> Result<Self, BoxError> {
        use lexopt::prelude::*;
        let mut arguments = Self::default();
        let mut parser = lexopt::Parser::from_env();
        while let Some(argument) = parser.next()? {
            match argument {
                Value(name) if arguments.command.is_none() => {
                    arguments.command = Some(command(name)?);
                }
                Long("quick") => arguments.quick = true,
                Long("http1") => arguments.http1 = Some(parser.value()?.parse()?),
                Long("http2") => arguments.http2 = Some(parser.value()?.parse()?),
                Long("connections") => arguments.connections = Some(parser.value()?.parse()?),
                Long("seconds") => {
                    arguments.duration = Some(Duration::from_secs(parser.value()?.parse()?));
                }
                Long("minutes") => {
                    let minutes: u64 = parser.value()?.parse()?;
                    arguments.duration = Some(Duration::from_secs(60 * minutes));
                }
                Long("json") => arguments.json = Some(parser.value()?.into()),
                _ => return Err(argument.unexpected().into()),
            }
        }
        Ok(arguments)
    }

    /// The size asked for, where none is given: the quick or the full one.
    fn size(&self, quick: Size, full: Size) -> Size {
        let default = if self.quick { quick } else { full };
        Size {
            http1: self.http1.unwrap_or(default.http1),
            http2: self.http2.unwrap_or(default.http2),
            connections: self.connections.unwrap_or(default.connections).max(1),
            duration: self.duration.unwrap_or(default.duration),
        }
    }
}

fn command(name: OsString) -> Result<Command, BoxError> {
    Ok(match name.to_str() {
        Some("many") => Command::Many,
        Some("churn") => Command::Churn,
        Some("soak") => Command::Soak,
        Some(server_process::COMMAND) => Command::Server,
        _ => return Err(format!("no such command: {}", name.to_string_lossy()).into()),
    })
}

/// The runtime of either process. What its tasks allocate is counted.
fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .on_thread_start(heap::count_this_thread)
        .enable_all()
        .build()
}

fn main() -> Result<ExitCode, BoxError> {
    let arguments = Arguments::parse()?;
    rlimit::increase_nofile_limit(u64::MAX)?;
    if arguments.command == Some(Command::Server) {
        server::run(&runtime()?)?;
        return Ok(ExitCode::SUCCESS);
    }
    exchange::prepare();
    let mut report = Report::default();
    let runtime = runtime()?;
    // In a task, so that its memory counts.
    let done = runtime.spawn(async move {
        let command = arguments.command;
        if matches!(command, None | Some(Command::Many)) {
            many::run(arguments.size(many::QUICK, many::FULL), &mut report).await?;
        }
        if matches!(command, None | Some(Command::Churn)) {
            churn::run(arguments.size(churn::QUICK, churn::FULL), &mut report).await?;
        }
        if command == Some(Command::Soak) {
            soak::run(arguments.size(soak::QUICK, soak::FULL), &mut report).await?;
        }
        Ok::<_, BoxError>((report, arguments.json))
    });
    let (report, json) = runtime.block_on(done)??;
    if let Some(file) = json {
        std::fs::write(file, report.json())?;
    }
    Ok(report.finish())
}
