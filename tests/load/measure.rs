//! How the two processes are, and how their messages fare.

use crate::{BoxError, heap, process, report::Report, server_process::ServerProcess};
use hdrhistogram::Histogram;
use std::{
    io,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};
use tokio::{runtime::Handle, time::sleep};

/// After the last WebSocket is closed, everything has to be gone within this time. A dropped
/// HTTP/2 stream may linger for 30 seconds; none of these should have to.
const SETTLING: Duration = Duration::from_secs(20);

/// Heap that may be left then, in KiB: what the runtime itself keeps.
const MOST_HEAP_LEFT: f64 = 64.0;

/// A process at a moment.
#[derive(Clone, Copy)]
pub(crate) struct Figures {
    pub(crate) tasks: usize,
    pub(crate) descriptors: usize,
    /// Live bytes.
    pub(crate) heap: i64,
    /// Bytes.
    pub(crate) resident: u64,
    /// WebSockets that the server serves.
    pub(crate) open: usize,
    /// What went wrong on the server.
    pub(crate) errors: usize,
    /// WebSockets that ended without a Close.
    pub(crate) cut: usize,
}

impl Figures {
    /// This process.
    pub(crate) fn own() -> io::Result<Self> {
        let pid = std::process::id();
        Ok(Self {
            tasks: Handle::current().metrics().num_alive_tasks(),
            descriptors: process::descriptors(pid)?,
            heap: heap::live() as i64,
            resident: process::resident(pid)?,
            open: 0,
            errors: 0,
            cut: 0,
        })
    }
}

/// Both processes at a moment.
#[derive(Clone, Copy)]
pub(crate) struct Pair {
    pub(crate) server: Figures,
    pub(crate) client: Figures,
}

impl Pair {
    pub(crate) async fn now(server: &mut ServerProcess) -> Result<Self, BoxError> {
        Ok(Self { server: server.figures().await?, client: Figures::own()? })
    }

    /// Waits until both have no more tasks and descriptors than `self`, for a time.
    pub(crate) async fn settled(self, server: &mut ServerProcess) -> Result<Self, BoxError> {
        let start = Instant::now();
        loop {
            let now = Self::now(server).await?;
            let is_settled = self.left(now).iter().all(|(_, left)| *left == 0);
            if is_settled || start.elapsed() > SETTLING {
                return Ok(now);
            }
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits until nothing is left that wasn't there at `self`, and reports what is.
    pub(crate) async fn check_nothing_is_left(
        self,
        server: &mut ServerProcess,
        report: &mut Report,
    ) -> Result<Self, BoxError> {
        let now = self.settled(server).await?;
        for (what, left) in self.left(now) {
            report.at_most(format!("{what} left over"), left as f64, 0.0, "");
        }
        report.at_most("errors on the server", now.server.errors as f64, 0.0, "");
        for (process, now, before) in
            [("server", now.server, self.server), ("client", now.client, self.client)]
        {
            let left = kib(now.heap - before.heap);
            report.at_most(format!("{process} heap left over"), left, MOST_HEAP_LEFT, "KiB");
        }
        Ok(now)
    }

    fn left(self, now: Self) -> [(&'static str, usize); 5] {
        let tasks = |now: Figures, before: Figures| now.tasks.saturating_sub(before.tasks);
        let descriptors =
            |now: Figures, before: Figures| now.descriptors.saturating_sub(before.descriptors);
        [
            ("WebSockets", now.server.open),
            ("server tasks", tasks(now.server, self.server)),
            ("client tasks", tasks(now.client, self.client)),
            ("server descriptors", descriptors(now.server, self.server)),
            ("client descriptors", descriptors(now.client, self.client)),
        ]
    }
}

pub(crate) fn kib(bytes: i64) -> f64 {
    bytes as f64 / 1024.0
}

pub(crate) fn mib(bytes: u64) -> f64 {
    bytes as f64 / 1024.0 / 1024.0
}

const SHARDS: usize = 4;

/// For microseconds, up to two minutes.
fn histogram() -> Result<Histogram<u64>, BoxError> {
    Ok(Histogram::new_with_bounds(1, 120_000_000, 3)?)
}

/// What happens to the messages of all tasks.
pub(crate) struct Meter {
    /// Microseconds. Several, so that tasks don't wait for each other.
    latencies: Vec<Mutex<Histogram<u64>>>,
    errors: AtomicUsize,
    opened: AtomicUsize,
    dropped: AtomicUsize,
    bytes: AtomicUsize,
}

impl Meter {
    pub(crate) fn new() -> Result<Self, BoxError> {
        let latencies = (0..SHARDS).map(|_| histogram().map(Mutex::new));
        Ok(Self {
            latencies: latencies.collect::<Result<_, _>>()?,
            errors: AtomicUsize::new(0),
            opened: AtomicUsize::new(0),
            dropped: AtomicUsize::new(0),
            bytes: AtomicUsize::new(0),
        })
    }

    /// A message of this task has come back whole.
    pub(crate) fn exchanged(&self, task: usize, bytes: usize, latency: Duration) {
        let shard = &self.latencies[task % self.latencies.len()];
        let micros = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
        shard.lock().unwrap_or_else(PoisonError::into_inner).saturating_record(micros);
        self.bytes.fetch_add(bytes, Relaxed);
    }

    pub(crate) fn opened(&self) {
        self.opened.fetch_add(1, Relaxed);
    }

    /// A WebSocket was dropped without a Close, on purpose.
    pub(crate) fn dropped(&self) {
        self.dropped.fetch_add(1, Relaxed);
    }

    pub(crate) fn drops(&self) -> usize {
        self.dropped.load(Relaxed)
    }

    pub(crate) fn failed(&self, error: &BoxError) {
        if self.errors.fetch_add(1, Relaxed) < 10 {
            eprintln!("client: {error}");
        }
    }

    pub(crate) fn report(&self, took: Duration, report: &mut Report) -> Result<(), BoxError> {
        let mut all = histogram()?;
        for shard in &self.latencies {
            all.add(&*shard.lock().unwrap_or_else(PoisonError::into_inner))?;
        }
        let seconds = took.as_secs_f64();
        let millis = |micros: u64| micros as f64 / 1000.0;
        report.figure("messages exchanged", all.len() as f64, "");
        report.figure("messages exchanged per second", all.len() as f64 / seconds, "/s");
        report.figure("payload each way", mib(self.bytes.load(Relaxed) as u64) / seconds, "MiB/s");
        report.figure("latency, p50", millis(all.value_at_quantile(0.5)), "ms");
        report.figure("latency, p99", millis(all.value_at_quantile(0.99)), "ms");
        report.figure("latency, max", millis(all.max()), "ms");
        report.figure("WebSockets opened meanwhile", self.opened.load(Relaxed) as f64, "");
        report.at_most("errors", self.errors.load(Relaxed) as f64, 0.0, "");
        Ok(())
    }
}
