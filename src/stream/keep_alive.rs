//! Whether the peer is still there.

use crate::FOR_EVER;
use pin_project_lite::pin_project;
use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::time::{Instant, Sleep, sleep_until};

/// How long a verdict waits at least, so that the runtime has looked at the transport once more
/// after the time was up.
const LAST_LOOK: Duration = Duration::from_millis(1);

/// Whoever looks at a timer this much after it fired hasn't waited for it.
const LATE: Duration = Duration::from_millis(100);

pin_project! {
    #[project = Projection]
    /// A timer that is looked at while a read waits.
    pub(super) struct KeepAlive {
        interval: Duration,
        timeout: Duration,
        // What is waited for, and since when.
        state: State,
        since: Instant,
        // Fires at the deadline or before it: it isn't turned back for everything that comes.
        #[pin]
        timer: Sleep,
    }
}

#[derive(Clone, Copy)]
enum State {
    /// Something came from the peer.
    Heard,
    /// The peer was sent a ping.
    Asked,
    /// The time is up. This long is left to find something that has come meanwhile.
    LastLook(Duration),
}

/// What a silence calls for.
pub(super) enum Due {
    Ping,
    TimedOut,
}

impl KeepAlive {
    /// Starts to count.
    pub(super) fn new(interval: Duration, timeout: Duration) -> Self {
        let interval = interval.clamp(LAST_LOOK, FOR_EVER);
        let since = Instant::now();
        Self {
            interval,
            timeout: timeout.min(FOR_EVER),
            state: State::Heard,
            since,
            timer: sleep_until(since + interval),
        }
    }

    /// Something came from the peer.
    pub(super) fn heard(self: Pin<&mut Self>) {
        self.project().enter(State::Heard, Instant::now());
    }

    /// To be asked while a read waits.
    pub(super) fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Due> {
        let mut this = self.project();
        loop {
            let deadline = this.deadline();
            if this.timer.deadline() > deadline {
                this.timer.as_mut().reset(deadline);
            }
            ready!(this.timer.as_mut().poll(cx));
            let now = Instant::now();
            if now < deadline {
                this.timer.as_mut().reset(deadline);
                continue;
            }
            match this.state {
                State::Heard => {
                    this.enter(State::Asked, now);
                    return Poll::Ready(Due::Ping);
                }
                // While nobody reads, nothing is sent or heard: then the time starts again, once.
                State::Asked => {
                    let left = if now - deadline > LATE { *this.timeout } else { LAST_LOOK };
                    this.enter(State::LastLook(left.max(LAST_LOOK)), now);
                }
                State::LastLook(_) => return Poll::Ready(Due::TimedOut),
            }
        }
    }
}

impl Projection<'_> {
    fn enter(&mut self, state: State, now: Instant) {
        *self.state = state;
        *self.since = now;
    }

    fn deadline(&self) -> Instant {
        *self.since
            + match *self.state {
                State::Heard => *self.interval,
                State::Asked => *self.timeout,
                State::LastLook(left) => left,
            }
    }
}
