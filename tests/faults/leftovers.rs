//! Counts what a scene leaves behind: tasks and sockets.

use std::{
    fs,
    future::Future,
    sync::{Mutex, PoisonError},
    time::Duration,
};
use tokio::{
    runtime::{Builder, Handle},
    time::{Instant, sleep, timeout},
};

/// One scene at a time: they count the sockets of the whole process.
static ALONE: Mutex<()> = Mutex::new(());

/// How long a scene may take, and how long its leftovers.
const SCENE: Duration = Duration::from_secs(120);
const LEFTOVERS: Duration = Duration::from_secs(20);

/// Plays the scene in a runtime of its own, then waits until no task and no socket is left of it.
pub(crate) fn leaves_nothing(scene: impl Future<Output = ()>) {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let before = sockets();
        timeout(SCENE, scene).await.expect("the scene took too long");
        let deadline = Instant::now() + LEFTOVERS;
        loop {
            let tasks = Handle::current().metrics().num_alive_tasks();
            let left = sockets();
            // Fewer, if the runtime of the scene before was not quite gone when it began.
            if tasks == 0 && left <= before {
                break;
            }
            assert!(Instant::now() < deadline, "{tasks} tasks; {left} sockets, before {before}");
            sleep(Duration::from_millis(10)).await;
        }
    });
}

fn sockets() -> usize {
    let files = fs::read_dir("/proc/self/fd").unwrap();
    let links = files.filter_map(|file| fs::read_link(file.unwrap().path()).ok());
    links.filter(|link| link.to_string_lossy().starts_with("socket:")).count()
}
