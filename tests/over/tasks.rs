//! What goes on beside a test on its thread: the connections beneath, and the other ends. It runs
//! whenever the test gives it a turn, until nothing is left to do. So nothing depends on time.

use std::{
    cell::{Cell, RefCell},
    future::{Future, poll_fn},
    pin::Pin,
    rc::{Rc, Weak},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
};
use tokio::task::unconstrained;

/// Something that is asked in every turn.
pub(super) trait Step {
    /// Goes on; returns whether anything happened.
    fn step(&mut self) -> bool;
}

struct Task {
    future: Pin<Box<dyn Future<Output = ()>>>,
    woken: Arc<Woken>,
}

struct Woken {
    woken: AtomicBool,
    /// Who runs the tasks.
    runner: Runner,
}

type Runner = Arc<Mutex<Option<Waker>>>;

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.woken.store(true, Ordering::Relaxed);
        let runner = self.runner.lock().unwrap().clone();
        runner.into_iter().for_each(Waker::wake);
    }
}

thread_local! {
    static TASKS: RefCell<Vec<Task>> = const { RefCell::new(Vec::new()) };
    static STEPS: RefCell<Vec<Weak<RefCell<dyn Step>>>> = const { RefCell::new(Vec::new()) };
    static RUNNER: Runner = Runner::default();
    static RUNNING: Cell<bool> = const { Cell::new(false) };
}

pub(super) fn spawn(future: impl Future<Output = ()> + 'static) {
    let runner = RUNNER.with(Arc::clone);
    let woken = Arc::new(Woken { woken: AtomicBool::new(true), runner });
    let task = Task { future: Box::pin(unconstrained(future)), woken };
    TASKS.with_borrow_mut(|tasks| tasks.push(task));
}

/// Asks it in every turn, as long as it is there.
pub(super) fn step_with(step: &Rc<RefCell<dyn Step>>) {
    STEPS.with_borrow_mut(|steps| steps.push(Rc::downgrade(step)));
}

/// Who is woken when a task is.
pub(super) fn wake_when_woken(waker: &Waker) {
    RUNNER.with(|runner| *runner.lock().unwrap() = Some(waker.clone()));
}

/// Runs until nothing is left to do.
pub(super) fn run_others() {
    if RUNNING.replace(true) {
        return;
    }
    while run_tasks() | run_steps() {}
    RUNNING.set(false);
}

fn run_tasks() -> bool {
    let mut tasks = TASKS.take();
    let mut ran = false;
    tasks.retain_mut(|task| {
        if !task.woken.woken.swap(false, Ordering::Relaxed) {
            return true;
        }
        ran = true;
        let waker = Waker::from(Arc::clone(&task.woken));
        task.future.as_mut().poll(&mut Context::from_waker(&waker)).is_pending()
    });
    // They may have started others.
    TASKS.with_borrow_mut(|started| {
        tasks.append(started);
        *started = tasks;
    });
    ran
}

fn run_steps() -> bool {
    let steps = STEPS.with_borrow_mut(|steps| {
        steps.retain(|step| step.strong_count() > 0);
        steps.clone()
    });
    let mut moved = false;
    for step in steps.iter().filter_map(Weak::upgrade) {
        moved |= without_budget(|| step.borrow_mut().step());
    }
    moved
}

/// Tokio lets a task do so much in one turn, and this isn't the task's doing.
pub(super) fn without_budget<T>(mut f: impl FnMut() -> T) -> T {
    let mut poll = unconstrained(poll_fn(|_| Poll::Ready(f())));
    match Pin::new(&mut poll).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(result) => result,
        Poll::Pending => unreachable!("it is always ready"),
    }
}

/// Runs a future to its end at once: it waits for nothing but the others.
pub(super) fn run<F: Future>(future: F) -> F::Output {
    let mut future = std::pin::pin!(unconstrained(future));
    for _ in 0..10_000 {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return output;
        }
        run_others();
    }
    panic!("never done");
}

/// Runs what hyper wants to be run.
#[derive(Clone)]
pub(super) struct Executor;

impl<F: Future<Output = ()> + 'static> hyper::rt::Executor<F> for Executor {
    fn execute(&self, future: F) {
        spawn(future);
    }
}
