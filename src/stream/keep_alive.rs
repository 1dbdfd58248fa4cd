//! Whether the peer is still there.

use crate::FOR_EVER;
use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::{
    runtime::Handle,
    task::JoinHandle,
    time::{Instant, sleep_until},
};

/// How long a verdict waits at least, so that the runtime has looked at the transport once more
/// after the time was up.
const LAST_LOOK: Duration = Duration::from_millis(1);

/// Whoever looks at a timer this much after it fired hasn't waited for it.
const LATE: Duration = Duration::from_millis(100);

/// How often interval and timeout pass before a transport that takes nothing is given up: with 30
/// seconds each a quarter of an hour, as long as TCP takes on Linux. A peer whose application pauses
/// looks the same, and mustn't be judged by it.
const STALLED: u32 = 15;

/// A timer that is looked at while a read or write waits.
pub(super) struct KeepAlive {
    interval: Duration,
    timeout: Duration,
    // What is waited for, and since when.
    state: State,
    since: Instant,
    /// Since when the line has not moved, as far as it was looked at.
    stalled_since: Instant,
    /// Whether it has moved since.
    moved: bool,
    /// Since when the application waits for the closing handshake.
    closing_since: Option<Instant>,
    timer: Timer,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// Something came from the peer.
    Heard,
    /// A ping is due, or sent, and the transport doesn't take what is to be sent.
    Asking,
    /// The transport was handed a ping for the peer.
    Asked,
    /// The time is up. This long is left to find something that has come meanwhile.
    LastLook(Duration),
    /// Nothing more is read; what is left is to be sent.
    Leaving,
}

/// What a silence calls for.
pub(super) enum Due {
    Ping,
    TimedOut,
}

/// What is known of the write direction.
#[derive(Clone, Copy)]
pub(super) struct Line {
    /// Whether the transport has taken everything, also the ping that was due. Then no write waits.
    pub(super) is_free: bool,
    /// Whether it has taken something, having been busy, since this was asked last.
    pub(super) moved: bool,
}

/// There is no runtime that could run a timer.
pub(super) struct NoRuntime;

impl KeepAlive {
    /// Starts to count.
    pub(super) fn new(interval: Duration, timeout: Duration) -> Self {
        let now = Instant::now();
        Self {
            interval: interval.clamp(LAST_LOOK, FOR_EVER),
            timeout: timeout.clamp(LAST_LOOK, FOR_EVER),
            state: State::Heard,
            since: now,
            stalled_since: now,
            moved: false,
            closing_since: None,
            timer: Timer::default(),
        }
    }

    /// Something came from the peer.
    pub(super) fn heard(&mut self) {
        self.enter(State::Heard, Instant::now());
    }

    /// To be asked while a read or a write waits.
    pub(super) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        line: Line,
    ) -> Poll<Result<Due, NoRuntime>> {
        self.moved |= line.moved;
        if self.state == State::Asking && line.is_free {
            // What moved the ping on is no sign of what comes after it.
            self.moved = false;
            self.enter(State::Asked, Instant::now());
        }
        loop {
            let deadline = self.deadline();
            ready!(self.timer.poll_until(deadline, cx))?;
            let now = Instant::now();
            // While nobody waits, nothing is sent or heard: then the time starts again.
            let late = now - deadline > LATE;
            match self.state {
                State::Heard | State::Leaving => {
                    self.stalled_since = now;
                    self.moved = false;
                    self.enter(State::Asking, now);
                    return Poll::Ready(Ok(Due::Ping));
                }
                // Back-pressure is no silence: the peer hasn't been asked.
                State::Asking => {
                    if std::mem::take(&mut self.moved) || late {
                        self.stalled_since = now;
                    }
                    let stalled = now - self.stalled_since >= self.stalled();
                    self.enter(
                        if stalled { State::LastLook(LAST_LOOK) } else { State::Asking },
                        now,
                    );
                }
                // Nor is it behind the ping.
                State::Asked if !line.is_free => {
                    self.stalled_since = now;
                    self.enter(State::Asking, now);
                }
                State::Asked => {
                    let next = if std::mem::take(&mut self.moved) {
                        State::Asked
                    } else {
                        State::LastLook(if late { self.timeout } else { LAST_LOOK })
                    };
                    self.enter(next, now);
                }
                State::LastLook(_) => return Poll::Ready(Ok(Due::TimedOut)),
            }
        }
    }

    /// To be asked while the transport doesn't take the last of ours, and nothing more is read. `Ready`
    /// says that it had its time since it took something. A peer that `reads_on` may pause.
    pub(super) fn poll_leaving(
        &mut self,
        cx: &mut Context<'_>,
        line: Line,
        reads_on: bool,
    ) -> Poll<Result<(), NoRuntime>> {
        if self.state != State::Leaving || line.moved {
            self.enter(State::Leaving, Instant::now());
        }
        loop {
            let patience = if reads_on { self.stalled() } else { self.timeout };
            let deadline = self.since + patience;
            ready!(self.timer.poll_until(deadline, cx))?;
            let now = Instant::now();
            if now - deadline <= LATE {
                return Poll::Ready(Ok(()));
            }
            self.enter(State::Leaving, now);
        }
    }

    /// A new close begins to count its time.
    pub(super) fn closes(&mut self) {
        self.closing_since = None;
    }

    /// Whether a close has waited for the peer as long as it may, whatever has come meanwhile.
    pub(super) fn has_closed_long_enough(&mut self) -> bool {
        let now = Instant::now();
        now - *self.closing_since.get_or_insert(now) >= self.stalled()
    }

    fn enter(&mut self, state: State, now: Instant) {
        self.state = state;
        self.since = now;
    }

    fn deadline(&self) -> Instant {
        self.since
            + match self.state {
                State::Heard | State::Leaving => self.interval,
                State::Asking | State::Asked => self.timeout,
                State::LastLook(left) => left,
            }
    }

    /// How long the transport may take nothing at all.
    fn stalled(&self) -> Duration {
        self.interval.saturating_add(self.timeout).saturating_mul(STALLED).min(FOR_EVER)
    }
}

/// A timer in a task of its own: a `Sleep` of tokio panics when its runtime is gone, and this says so.
#[derive(Default)]
struct Timer {
    /// Ends at the deadline or before it: it isn't turned back for everything that comes.
    running: Option<(JoinHandle<()>, Instant)>,
    /// Whether it could not be run: then it never can.
    dead: bool,
}

impl Timer {
    fn poll_until(
        &mut self,
        deadline: Instant,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), NoRuntime>> {
        loop {
            if self.dead {
                return Poll::Ready(Err(NoRuntime));
            }
            match &mut self.running {
                Some((task, until)) if *until <= deadline => {
                    let ended = ready!(Pin::new(task).poll(cx));
                    self.dead = ended.is_err();
                    self.running = None;
                    if ended.is_ok() && Instant::now() >= deadline {
                        return Poll::Ready(Ok(()));
                    }
                }
                _ => self.start(deadline),
            }
        }
    }

    fn start(&mut self, deadline: Instant) {
        self.stop();
        match Handle::try_current() {
            Ok(runtime) => {
                let task = runtime.spawn(async move { sleep_until(deadline).await });
                self.running = Some((task, deadline));
            }
            Err(_) => self.dead = true,
        }
    }

    fn stop(&mut self) {
        if let Some((task, _)) = self.running.take() {
            task.abort();
        }
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        self.stop();
    }
}
