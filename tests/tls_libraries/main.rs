//! The stream over transports that have buffers of their own: TLS libraries, and tokio's `BufStream`.
//!
//! Three things that they do are allowed, and a TCP socket does none of them:
//!
//! - A write is `Ready` while bytes stay in the library's buffer. Only a flush sends those on: rustls
//!   takes up to 64 KiB, and its reads don't write.
//! - Such a write leaves its waker on the socket, in the place of another task's.
//! - A write that was `Pending` has to be repeated with the same bytes: OpenSSL has encrypted them
//!   already, and sends that.
//!
//! The line between the ends holds a few KiB in each direction, and the peer is raw frames over the
//! same library. Time is paused: it goes on only when every task waits, so a scene in which nobody is
//! woken ends at once.

mod answers;
mod closing;
#[path = "../common/mod.rs"]
mod common;
mod control;
mod facts;
mod libraries;
mod peer;
mod retries;
mod tasks;
mod wakeups;

use common::ROLES;
use fastwebsockets_stream::{Config, WebSocketStream, fastwebsockets::Role};
use futures_util::FutureExt;
use libraries::{Library, Transport};
use peer::Peer;
use std::{
    fmt::Debug,
    future::{Future, poll_fn},
    panic::AssertUnwindSafe,
    pin::{Pin, pin},
    task::Poll,
    time::Duration,
};
use tokio::{
    io::AsyncWrite,
    task::{spawn, unconstrained},
    time::timeout,
};
use tokio_util::task::AbortOnDropHandle;

/// What the line holds in each direction: a socket's send buffer.
const LINE: usize = 32 * 1024;

/// Longer than all that a scene waits for, on the paused clock.
const TOO_LONG: Duration = Duration::from_secs(3600);

/// More polls than a scene needs.
const TOO_OFTEN: usize = 1_000_000;

type Stream = WebSocketStream<Transport>;

/// Runs a scene over each library, with the stream as client and as server, and says at the end where
/// it failed.
async fn everywhere<C: Copy + Debug>(
    libraries: &[Library],
    cases: &[C],
    scene: impl AsyncFn(Library, Role, C),
) {
    let mut failures = Vec::new();
    for &library in libraries {
        for role in ROLES {
            for &case in cases {
                let name = format!("{library:?}, {}, {case:?}", name(role));
                println!("{name}");
                let run = timeout(TOO_LONG, counted(scene(library, role, case)));
                match AssertUnwindSafe(run).catch_unwind().await {
                    Ok(Ok(())) => {}
                    Ok(Err(_)) => failures.push(name + ": stuck"),
                    Err(_) => failures.push(name + ": see above"),
                }
            }
        }
    }
    assert!(failures.is_empty(), "failed:\n{}", failures.join("\n"));
}

fn name(role: Role) -> &'static str {
    match role {
        Role::Client => "client",
        Role::Server => "server",
    }
}

/// A task that is woken again and again ends as well.
async fn counted<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let mut polls = 0;
    poll_fn(|cx| {
        polls += 1;
        assert!(polls < TOO_OFTEN, "polled without end");
        future.as_mut().poll(cx)
    })
    .await
}

/// A stream over a library, and the peer at the other end of a line that holds this much.
async fn open(
    library: Library,
    role: Role,
    line: usize,
    config: impl Into<Config>,
) -> (Stream, Peer) {
    let (io, other) = library.connect(role, line).await;
    (WebSocketStream::after_handshake(io, role, config), Peer::new(other, role))
}

/// A task of its own. It ends with the scene.
fn task<F>(future: F) -> AbortOnDropHandle<F::Output>
where
    F: Future<Output: Send> + Send + 'static,
{
    AbortOnDropHandle::new(spawn(counted(future)))
}

/// Writes until the line is full and the stream takes no more; returns what was accepted.
async fn fill(stream: &mut Stream) -> Vec<u8> {
    let mut accepted = Vec::new();
    // The scheduler says "not now" as well, if it may.
    unconstrained(poll_fn(|cx| {
        loop {
            let piece = common::bytes(10_000);
            match Pin::new(&mut *stream).poll_write(cx, &piece) {
                Poll::Ready(written) => accepted.extend(&piece[..written.unwrap()]),
                Poll::Pending => return Poll::Ready(()),
            }
        }
    }))
    .await;
    accepted
}
