//! Counts what a scene leaves behind: tasks and sockets.

use std::{
    fs,
    future::Future,
    sync::{Mutex, MutexGuard, OnceLock, PoisonError},
    time::Duration,
};
use tokio::{
    runtime::{Builder, Handle},
    time::{Instant, sleep, timeout},
};

/// One at a time: the sockets of the whole process are counted.
static ALONE: Mutex<()> = Mutex::new(());

/// The sockets of a runtime that has nothing to do.
static OF_RUNTIME: OnceLock<usize> = OnceLock::new();

/// How long a scene may take, and how long its leftovers.
const SCENE: Duration = Duration::from_secs(120);
const LEFTOVERS: Duration = Duration::from_secs(20);

/// Nobody else has a runtime while this lives.
pub(crate) fn alone() -> MutexGuard<'static, ()> {
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Plays the scene in a runtime of its own, then waits until no task and no socket is left of it.
pub(crate) fn leaves_nothing(scene: impl Future<Output = ()>) {
    let _alone = alone();
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let of_runtime = *OF_RUNTIME.get_or_init(sockets);
        // A thread of the runtime before may hold its socket a little longer.
        nothing_is_left(of_runtime).await;
        timeout(SCENE, scene).await.expect("the scene took too long");
        nothing_is_left(of_runtime).await;
    });
}

async fn nothing_is_left(of_runtime: usize) {
    let deadline = Instant::now() + LEFTOVERS;
    loop {
        let left = (Handle::current().metrics().num_alive_tasks(), sockets());
        if left == (0, of_runtime) {
            break;
        }
        assert!(
            Instant::now() < deadline,
            "tasks and sockets: {left:?}, of them {of_runtime} its own"
        );
        sleep(Duration::from_millis(10)).await;
    }
}

fn sockets() -> usize {
    let files = fs::read_dir("/proc/self/fd").unwrap();
    let links = files.filter_map(|file| fs::read_link(file.unwrap().path()).ok());
    links.filter(|link| link.to_string_lossy().starts_with("socket:")).count()
}
