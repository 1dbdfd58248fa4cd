//! Everything at once, for a long time, at a moderate pace.

use crate::{
    BoxError, Size,
    client::Client,
    exchange::{Messages, close, transfer},
    http::{Stream, VERSIONS, Version},
    measure::{Figures, Meter, Pair, kib, mib},
    report::Report,
    server_process::ServerProcess,
};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{
    task::JoinSet,
    time::{MissedTickBehavior, interval, sleep},
};

pub(crate) const FULL: Size =
    Size { http1: 200, http2: 1000, connections: 5, duration: Duration::from_secs(30 * 60) };
pub(crate) const QUICK: Size =
    Size { http1: 50, http2: 200, connections: 2, duration: Duration::from_secs(10) };

/// Memory is looked at so many times.
const SAMPLES: usize = 100;

/// How much more heap there may be in the last tenth than in the second, medians: a tenth, and
/// this much, in KiB. What is under way at a moment varies.
const MOST_GROWTH: f64 = 1024.0;

/// The same of the resident size, in MiB.
const MOST_RESIDENT_GROWTH: f64 = 4.0;

/// Between two messages of a WebSocket, at most.
const PAUSE: Duration = Duration::from_millis(400);

/// Between two large transfers.
const TRANSFER_PAUSE: Duration = Duration::from_secs(2);
const TRANSFER: usize = 4 << 20;

/// After a message, a WebSocket is replaced once in so many times.
const REPLACE_ONE_IN: usize = 50;
/// And then so many are dropped without a Close, one in.
const DROP_ONE_IN: usize = 8;

/// What the tasks share.
struct Soak {
    client: Arc<Client>,
    meter: Meter,
    deadline: Instant,
}

pub(crate) async fn run(size: Size, report: &mut Report) -> Result<(), BoxError> {
    report.begin("soak");
    let mut server = ServerProcess::start().await?;
    let before = Pair::now(&mut server).await?;
    let client = Client::connect(server.address, size.connections).await?;
    let start = Instant::now();
    let deadline = start + size.duration;
    let soak = Arc::new(Soak { client, meter: Meter::new()?, deadline });

    let mut tasks = JoinSet::new();
    for version in VERSIONS {
        let count = if version == Version::Http1 { size.http1 } else { size.http2 };
        for task in 0..count {
            let soak = Arc::clone(&soak);
            tasks.spawn(async move { soak.count(soak.talk(version, task).await) });
        }
        let soak = Arc::clone(&soak);
        tasks.spawn(async move { soak.count(soak.transfer(version).await) });
    }
    let samples = sample(&mut server, start, size.duration).await?;
    tasks.join_all().await;

    soak.meter.report(start.elapsed(), report)?;
    check_growth("server", &samples, |pair| pair.server, report);
    check_growth("client", &samples, |pair| pair.client, report);
    let dropped = soak.meter.drops();
    drop((soak, samples));
    let after = before.check_nothing_is_left(&mut server, report).await?;
    report.figure("dropped without a Close", dropped as f64, "");
    let unnoticed = dropped.abs_diff(after.server.cut) as f64;
    report.at_most("drops that the server took for something else", unnoticed, 0.0, "");
    Ok(())
}

impl Soak {
    fn is_over(&self) -> bool {
        Instant::now() >= self.deadline
    }

    fn count(&self, result: Result<(), BoxError>) {
        if let Err(error) = result {
            self.meter.failed(&error);
        }
    }

    /// Messages with pauses, and now and then another WebSocket.
    async fn talk(&self, version: Version, task: usize) -> Result<(), BoxError> {
        let mut messages = Messages::new(task);
        let mut stream = self.open(version, task).await?;
        while !self.is_over() {
            let (bytes, latency) = messages.exchange(&mut stream).await?;
            self.meter.exchanged(task, bytes, latency);
            if messages.random.below(REPLACE_ONE_IN) == 0 {
                if messages.random.below(DROP_ONE_IN) == 0 {
                    drop(stream);
                    self.meter.dropped();
                } else {
                    close(stream).await?;
                }
                stream = self.open(version, task).await?;
            }
            let pause = messages.random.below(PAUSE.as_millis() as usize);
            sleep(Duration::from_millis(pause as u64)).await;
        }
        close(stream).await
    }

    /// Large transfers, each on a WebSocket of its own.
    async fn transfer(&self, version: Version) -> Result<(), BoxError> {
        while !self.is_over() {
            let mut stream = self.open(version, 0).await?;
            transfer(&mut stream, TRANSFER).await?;
            close(stream).await?;
            sleep(TRANSFER_PAUSE).await;
        }
        Ok(())
    }

    async fn open(&self, version: Version, task: usize) -> Result<Stream, BoxError> {
        let stream = self.client.open(version, task).await?;
        self.meter.opened();
        Ok(stream)
    }
}

/// Looks at memory from time to time until the end.
async fn sample(
    server: &mut ServerProcess,
    start: Instant,
    duration: Duration,
) -> Result<Vec<Pair>, BoxError> {
    let mut ticks = interval(duration / SAMPLES as u32);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks.tick().await;
    let mut samples = Vec::new();
    while samples.len() < SAMPLES {
        ticks.tick().await;
        let now = Pair::now(server).await?;
        samples.push(now);
        if samples.len() % (SAMPLES / 20) == 0 {
            println!(
                "  {:>5} s: server {:.1} MiB resident, {:.1} MiB heap, {} open; client {:.1} MiB",
                start.elapsed().as_secs(),
                mib(now.server.resident),
                kib(now.server.heap) / 1024.0,
                now.server.open,
                mib(now.client.resident),
            );
        }
    }
    Ok(samples)
}

/// Memory at the end is what it was soon after the beginning.
fn check_growth(
    process: &str,
    samples: &[Pair],
    figures: impl Fn(&Pair) -> Figures,
    report: &mut Report,
) {
    let tenth = samples.len() / 10;
    let median = |samples: &[Pair], value: &dyn Fn(Figures) -> f64| {
        let mut values: Vec<_> = samples.iter().map(|pair| value(figures(pair))).collect();
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    };
    let (second, last) = (&samples[tenth..2 * tenth], &samples[samples.len() - tenth..]);
    let mut check = |name: &str, growth: f64, unit: &str, value: &dyn Fn(Figures) -> f64| {
        let early = median(second, value);
        report.figure(format!("{name} early, {process}"), early, unit);
        let late = median(last, value);
        report.at_most(format!("{name} late, {process}"), late, early * 1.1 + growth, unit);
    };
    check("heap", MOST_GROWTH, "KiB", &|figures| kib(figures.heap));
    check("resident", MOST_RESIDENT_GROWTH, "MiB", &|figures| mib(figures.resident));
}
