//! A thousand peers that mean harm, before anybody has asked who they are: they cost a bounded
//! amount of memory, the good ones beside them don't notice, and nothing of them is left.
//!
//! `cargo test --test bad_input -- --nocapture` prints what each kind costs.
#![cfg(all(feature = "handshake", target_os = "linux"))]

mod bad_frames;
mod good;
mod kinds;
mod over_http1;
mod over_http2;
mod server;

#[path = "../common/mod.rs"]
mod common;
#[path = "../common/heap.rs"]
#[allow(dead_code, reason = "others look at one thread")]
mod heap;
#[path = "../http/mod.rs"]
mod http;
#[path = "../common/process.rs"]
#[allow(dead_code, reason = "the load asks for more")]
mod process;

use good::Good;
use kinds::{KINDS, Kind};
use server::Server;
use std::{
    process::id,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};
use tokio::{
    runtime::Runtime,
    sync::{mpsc, watch},
    task::JoinSet,
    time::{sleep, timeout},
};

#[global_allocator]
static ALLOCATOR: heap::Counting = heap::Counting;

/// The counts are of the whole process.
static ONE_TEST_AT_A_TIME: Mutex<()> = Mutex::new(());

/// Nothing here may take longer, not even on a busy machine.
const IN_TIME: Duration = Duration::from_secs(60);

/// What bad peers leave behind is gone within this time: before a dropped HTTP/2 stream would be
/// given up, which takes 30 seconds.
const GONE_IN_TIME: Duration = Duration::from_secs(20);

/// A good peer's message and its echo, with a thousand bad ones beside it.
const GOOD_IN_TIME: Duration = Duration::from_secs(5);

/// What each bad peer is told by the test, and tells it.
#[derive(Clone)]
struct Stage {
    /// The peer has done its worst.
    done: mpsc::UnboundedSender<()>,
    /// Whether the test has seen enough.
    over: watch::Receiver<bool>,
}

impl Stage {
    /// Everything is sent: what was opened stays open until the test has seen it.
    async fn hold(mut self) {
        self.done.send(()).unwrap();
        self.over.wait_for(|over| *over).await.unwrap();
    }
}

/// Runs them all at once, until each has done its worst. Returns the most that the server's heap
/// grew by meanwhile, in bytes.
async fn run(server: &Server, peers: impl IntoIterator<Item = Kind>) -> usize {
    let (done, mut all_done) = mpsc::unbounded_channel();
    let (end, over) = watch::channel(false);
    let stage = Stage { done, over };
    let before = heap::live();
    heap::forget_peak();
    let mut running = JoinSet::new();
    for kind in peers {
        let (address, stage) = (server.address, stage.clone());
        running.spawn(async move {
            let in_time = timeout(IN_TIME, kind.run(address, stage)).await;
            in_time.unwrap_or_else(|_| panic!("{kind:?} took too long"));
        });
    }
    drop(stage);
    for _ in 0..running.len() {
        tokio::select! {
            // A peer that fails says why.
            Some(failed) = running.join_next() => failed.unwrap(),
            done = all_done.recv() => done.unwrap(),
        }
    }
    let peak = heap::peak() - before;
    end.send(true).unwrap();
    while let Some(ended) = running.join_next().await {
        ended.unwrap();
    }
    usize::try_from(peak).unwrap()
}

/// Runs a test against a server on a runtime of its own, and sees that both leave nothing behind.
fn with_server<F: Future<Output = ()>>(patience: Duration, test: impl FnOnce(Server) -> F) {
    let _alone = ONE_TEST_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    // Two descriptors for each connection: both ends are here.
    rlimit::increase_nofile_limit(u64::MAX).unwrap();
    let on_server = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .on_thread_start(heap::count_this_thread)
        .enable_all()
        .build()
        .unwrap();
    let clients = Runtime::new().unwrap();
    let server = Server::start(&on_server, patience);
    let descriptors = process::descriptors(id()).unwrap();
    clients.block_on(async {
        test(server.clone()).await;
        server.has_no_connections().await;
        // The clients' own ends may take a moment more.
        let start = Instant::now();
        while process::descriptors(id()).unwrap() != descriptors {
            assert!(start.elapsed() < GONE_IN_TIME, "descriptors are left over");
            sleep(Duration::from_millis(10)).await;
        }
    });
}

#[test]
fn each_kind_of_bad_peer_costs_a_bounded_amount_of_memory() {
    with_server(Duration::from_secs(2), |server| async move {
        for (kind, _) in KINDS {
            server.has_no_connections().await;
            let start = Instant::now();
            let peers = kind.many_enough_to_measure();
            let peak = run(&server, (0..peers).map(|_| kind)).await;
            let each = peak / (peers * kind.streams());
            let bound = kind.memory();
            let (took, kind_of) = (start.elapsed(), format!("{kind:?}"));
            println!(
                "{kind_of:>32}: {:>4} KiB each, at most {:>4}; in {took:.1?}",
                each / 1024,
                bound / 1024,
            );
            assert!(each <= bound, "{kind:?}: {each} bytes each, at most {bound}");
        }
    });
}

#[test]
fn a_thousand_bad_peers_at_once_do_not_disturb_the_good_ones() {
    with_server(GOOD_IN_TIME, |server| async move {
        let mut good = Good::start(server.address).await;
        good.have_all_exchanged().await;
        let peers: Vec<_> =
            KINDS.iter().flat_map(|&(kind, count)| (0..count).map(move |_| kind)).collect();
        assert_eq!(peers.len(), 1000);
        let bound = peers.iter().map(|kind| kind.memory() * kind.streams()).sum::<usize>();
        let before = good.exchanges();
        let peak = run(&server, peers).await;
        let meanwhile = good.exchanges() - before;
        good.have_all_exchanged().await;
        let slowest = good.stop().await;
        println!(
            "{} KiB in all, at most {}; {meanwhile} good messages meanwhile, the slowest {slowest:?}",
            peak / 1024,
            bound / 1024,
        );
        assert!(peak <= bound, "{peak} bytes, at most {bound}");
        assert!(slowest < GOOD_IN_TIME, "{slowest:?}");
    });
}
