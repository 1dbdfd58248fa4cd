//! Runs tasks that were woken, in the order that the choices pick.

use super::{choices::Choices, transport::Line};
use std::{
    cell::RefCell,
    collections::VecDeque,
    future::Future,
    pin::Pin,
    rc::Rc,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Wake, Waker},
};

/// Polls in a row in which no transport has moved anything.
const MAX_IDLE_POLLS: usize = 300;

type Task = Pin<Box<dyn Future<Output = ()>>>;
type Queue = Arc<Mutex<VecDeque<usize>>>;

struct Wakeup {
    task: usize,
    queued: AtomicBool,
    queue: Queue,
}

impl Wake for Wakeup {
    fn wake(self: Arc<Self>) {
        if !self.queued.swap(true, Ordering::Relaxed) {
            self.queue.lock().unwrap().push_back(self.task);
        }
    }
}

/// How a world came to rest: nothing was left to do.
pub(crate) struct Rest {
    /// The tasks that still wait.
    pub(crate) waiting: Vec<usize>,
}

/// Runs until no task is woken and no transport has put anything off.
pub(crate) fn run(choices: &Choices, tasks: Vec<Task>, lines: &[Rc<RefCell<Line>>]) -> Rest {
    let queue = Queue::default();
    let mut tasks: Vec<Option<Task>> = tasks.into_iter().map(Some).collect();
    let wakeups: Vec<Arc<Wakeup>> = (0..tasks.len())
        .map(|task| {
            let queue = Arc::clone(&queue);
            Arc::new(Wakeup { task, queued: AtomicBool::new(false), queue })
        })
        .collect();
    wakeups.iter().cloned().for_each(Wake::wake);

    let moved = || lines.iter().map(|line| line.borrow().moved).sum::<usize>();
    let (mut idle, mut before) = (0, moved());
    loop {
        let woken = queue.lock().unwrap().len();
        if woken == 0 || choices.one_in(3) {
            let mut due: Vec<Waker> = Vec::new();
            for line in lines {
                if woken == 0 || choices.one_in(2) {
                    due.extend(line.borrow_mut().go_on());
                }
            }
            if woken == 0 && due.is_empty() {
                break;
            }
            due.into_iter().for_each(Waker::wake);
            continue;
        }
        let at = choices.below(woken);
        let id = queue.lock().unwrap().remove(at).expect("it is one of those woken");
        wakeups[id].queued.store(false, Ordering::Relaxed);
        let Some(task) = &mut tasks[id] else {
            continue;
        };
        let waker = Waker::from(Arc::clone(&wakeups[id]));
        if task.as_mut().poll(&mut Context::from_waker(&waker)).is_ready() {
            tasks[id] = None;
            idle = 0;
        }
        let now = moved();
        idle = if now == before { idle + 1 } else { 0 };
        before = now;
        assert!(idle < MAX_IDLE_POLLS, "tasks are polled again and again, and nothing happens");
    }
    let waiting = (0..tasks.len()).filter(|id| tasks[*id].is_some()).collect();
    Rest { waiting }
}
