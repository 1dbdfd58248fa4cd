//! Many WebSockets at a time.

use crate::{
    BoxError, Size,
    client::{Client, for_each},
    exchange::{Messages, close},
    http::{Stream, VERSIONS, Version},
    measure::{Meter, Pair, kib, mib},
    report::Report,
    server::BUFFER,
    server_process::ServerProcess,
};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::task::JoinSet;

pub(crate) const FULL: Size =
    Size { http1: 2000, http2: 10_000, connections: 10, duration: Duration::from_secs(30) };
pub(crate) const QUICK: Size =
    Size { http1: 100, http2: 400, connections: 4, duration: Duration::from_secs(3) };

/// After a message, a WebSocket is closed and opened again once in so many times.
const REOPEN_ONE_IN: usize = 100;

/// Memory of an idle WebSocket on the server, with all that belongs to it: its task, hyper's
/// streams and tasks, a share of the connection. The buffer of the echo comes on top.
const MOST_IDLE: usize = 6 * 1024;

/// One WebSocket that is kept open by its task.
struct Talker {
    version: Version,
    task: usize,
    stream: Stream,
    messages: Messages,
}

pub(crate) async fn run(size: Size, report: &mut Report) -> Result<(), BoxError> {
    report.begin("many");
    let mut server = ServerProcess::start().await?;
    let before = Pair::now(&mut server).await?;
    let client = Client::connect(server.address, size.connections).await?;

    let mut talkers = Vec::new();
    for version in VERSIONS {
        let count = if version == Version::Http1 { size.http1 } else { size.http2 };
        talkers.extend(open(&client, version, count, &mut server, report).await?);
    }
    let idle = Pair::now(&mut server).await?;
    let all = talkers.len();
    report.at_most("WebSockets that aren't open", all.abs_diff(idle.server.open) as f64, 0.0, "");
    report.figure("resident when idle, server", mib(idle.server.resident), "MiB");

    let meter = Arc::new(Meter::new()?);
    let start = Instant::now();
    let deadline = start + size.duration;
    let mut talking = JoinSet::new();
    for talker in talkers {
        talking.spawn(talk(talker, Arc::clone(&client), Arc::clone(&meter), deadline));
    }
    let talkers: Vec<_> = talking.join_all().await.into_iter().flatten().collect();
    meter.report(start.elapsed(), report)?;
    drop(meter);
    let after = Pair::now(&mut server).await?;
    report.figure("resident under load, server", mib(after.server.resident), "MiB");

    for_each(talkers, |talker| close(talker.stream)).await?;
    drop(client);
    before.check_nothing_is_left(&mut server, report).await?;
    Ok(())
}

/// Opens them all, and tells what each costs the server.
async fn open(
    client: &Arc<Client>,
    version: Version,
    count: usize,
    server: &mut ServerProcess,
    report: &mut Report,
) -> Result<Vec<Talker>, BoxError> {
    if count == 0 {
        return Ok(Vec::new());
    }
    let before = server.figures().await?;
    let start = Instant::now();
    let talkers = for_each(0..count, |task| {
        let client = Arc::clone(client);
        async move {
            let mut stream = client.open(version, task).await?;
            let mut messages = Messages::new(task);
            messages.exchange(&mut stream).await?;
            Ok(Talker { version, task, stream, messages })
        }
    })
    .await?;
    let rate = count as f64 / start.elapsed().as_secs_f64();
    let after = server.figures().await?;
    let each = |bytes: i64| kib(bytes / count as i64);
    report.figure(format!("{version:?}: opened"), count as f64, "");
    report.figure(format!("{version:?}: opened per second"), rate, "/s");
    let resident = after.resident as i64 - before.resident as i64;
    report.figure(format!("{version:?}: resident each, server"), each(resident), "KiB");
    let heap = format!("{version:?}: heap each, server");
    let bound = kib((MOST_IDLE + BUFFER) as i64);
    report.at_most(heap, each(after.heap - before.heap), bound, "KiB");
    Ok(talkers)
}

/// Exchanges messages until the deadline.
async fn talk(
    mut talker: Talker,
    client: Arc<Client>,
    meter: Arc<Meter>,
    deadline: Instant,
) -> Option<Talker> {
    while Instant::now() < deadline {
        match turn(talker, &client, &meter).await {
            Ok(again) => talker = again,
            Err(error) => {
                meter.failed(&error);
                return None;
            }
        }
    }
    Some(talker)
}

/// One message, and sometimes another WebSocket.
async fn turn(mut talker: Talker, client: &Client, meter: &Meter) -> Result<Talker, BoxError> {
    let (bytes, latency) = talker.messages.exchange(&mut talker.stream).await?;
    meter.exchanged(talker.task, bytes, latency);
    if talker.messages.random.below(REOPEN_ONE_IN) == 0 {
        close(talker.stream).await?;
        talker.stream = client.open(talker.version, talker.task).await?;
        meter.opened();
    }
    Ok(talker)
}
