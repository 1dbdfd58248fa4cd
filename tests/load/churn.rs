//! Many WebSockets, one after the other.

use crate::{
    BoxError, Size,
    client::{Client, for_each},
    exchange::{Messages, close},
    http::{VERSIONS, Version},
    measure::{Figures, Meter, Pair, kib, mib},
    report::Report,
    server_process::ServerProcess,
};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

pub(crate) const FULL: Size =
    Size { http1: 10_000, http2: 100_000, connections: 2, duration: Duration::ZERO };
pub(crate) const QUICK: Size =
    Size { http1: 500, http2: 1000, connections: 2, duration: Duration::ZERO };

/// Memory is looked at after each round, when nothing is open.
const ROUNDS: usize = 10;

/// How much more heap than after the first round there may be after any other, in KiB. Connections
/// keep room for the most streams that they ever had at a time, and double it when it is used up.
/// At the full size this is less than 6 bytes for each WebSocket.
const MOST_GROWTH: f64 = 512.0;

/// The same of the resident size, which has the allocator's holes in it: a tenth, and this much.
const MOST_RESIDENT_GROWTH: f64 = 4.0;

pub(crate) async fn run(size: Size, report: &mut Report) -> Result<(), BoxError> {
    for version in VERSIONS {
        let (part, count) = match version {
            Version::Http1 => ("churn over HTTP/1.1", size.http1),
            Version::Http2 => ("churn over HTTP/2", size.http2),
        };
        if count > 0 {
            report.begin(part);
            churn(version, count, size.connections, report).await?;
        }
    }
    Ok(())
}

async fn churn(
    version: Version,
    count: usize,
    connections: usize,
    report: &mut Report,
) -> Result<(), BoxError> {
    let mut server = ServerProcess::start().await?;
    let before = Pair::now(&mut server).await?;
    let client = Client::connect(server.address, connections).await?;
    let meter = Arc::new(Meter::new()?);
    let connected = Pair::now(&mut server).await?;

    let start = Instant::now();
    let mut rounds = Vec::new();
    for round in 0..ROUNDS {
        let tasks = round * count / ROUNDS..(round + 1) * count / ROUNDS;
        for_each(tasks, |task| {
            let (client, meter) = (Arc::clone(&client), Arc::clone(&meter));
            async move {
                if let Err(error) = once(version, task, &client, &meter).await {
                    meter.failed(&error);
                }
                Ok(())
            }
        })
        .await?;
        rounds.push(connected.settled(&mut server).await?);
    }
    let took = start.elapsed();
    meter.report(took, report)?;
    drop(meter);
    report.figure("opened and closed per second", count as f64 / took.as_secs_f64(), "/s");
    drop(client);
    check_growth("server", rounds.iter().map(|round| round.server), report);
    check_growth("client", rounds.iter().map(|round| round.client), report);
    drop(rounds);
    before.check_nothing_is_left(&mut server, report).await?;
    Ok(())
}

/// No round may leave more memory than the first.
fn check_growth(process: &str, mut rounds: impl Iterator<Item = Figures>, report: &mut Report) {
    let Some(first) = rounds.next() else { return };
    let (mut heap, mut resident) = (first.heap, first.resident);
    for round in rounds {
        heap = heap.max(round.heap);
        resident = resident.max(round.resident);
    }
    let heap = kib(heap - first.heap);
    report.at_most(format!("heap growth after a tenth, {process}"), heap, MOST_GROWTH, "KiB");
    report.figure(format!("resident after a tenth, {process}"), mib(first.resident), "MiB");
    let bound = mib(first.resident) * 1.1 + MOST_RESIDENT_GROWTH;
    report.at_most(format!("most resident later, {process}"), mib(resident), bound, "MiB");
}

/// Opens, exchanges a message, closes.
async fn once(
    version: Version,
    task: usize,
    client: &Client,
    meter: &Meter,
) -> Result<(), BoxError> {
    let mut stream = client.open(version, task).await?;
    meter.opened();
    let (bytes, latency) = Messages::new(task).exchange(&mut stream).await?;
    meter.exchanged(task, bytes, latency);
    close(stream).await
}
