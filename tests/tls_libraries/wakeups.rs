//! Two tasks on a busy line: each is polled only when it was woken, and nothing gets stuck.

use crate::{
    LINE,
    common::{
        bytes,
        frames::{BINARY, CLOSE, PING, PONG, close_payload},
    },
    everywhere,
    libraries::{BUF_STREAM, Library, TLS_LIBRARIES, libraries},
    open,
    tasks::Tasks,
};
use fastwebsockets_stream::{Config, PayloadType};
use rand::{Rng, SeedableRng, rngs::StdRng};
use std::time::Duration;
use tokio::{
    task::unconstrained,
    time::{advance, sleep},
};
use tokio_test::assert_ready_ok;

const INTERVAL: Duration = Duration::from_secs(30);
const TIMEOUT: Duration = Duration::from_secs(10);

/// Runs of each random scene.
const SEEDS: u64 = 20;

/// Bytes of a write that fills the line. What the line doesn't hold stays in the library, or in the
/// stream.
const FILLING: [usize; 5] = [33_000, 40_000, 60_000, 100_000, 200_000];

#[tokio::test(start_paused = true)]
async fn a_pong_that_waits_for_the_line_leaves_though_another_task_writes_after_it() {
    everywhere(&libraries(), &FILLING, async |library, role, size| {
        let (stream, peer) = open(library, role, LINE, PayloadType::Binary).await;
        unconstrained(async {
            let mut tasks = Tasks::new(stream, peer);
            tasks.write(bytes(size));
            tasks.peer_sends(PING, b"there?");
            // The pong waits: its flush has left the reader's waker on the line.
            assert!(tasks.run_reader());
            // rustls takes this, and leaves the writer's there.
            tasks.write(bytes(1000));
            tasks.end_writer();
            tasks.run();
            let expected = [bytes(size), bytes(1000)].concat();
            assert_eq!(tasks.peer.all(PONG), [b"there?"]);
            assert!(tasks.peer.payload() == expected);
        })
        .await;
    })
    .await;
}

/// Somebody writes, has nothing more to do, and doesn't flush, while another task reads.
async fn payload_leaves_though_its_writer_has_gone(libraries: &[Library]) {
    everywhere(libraries, &FILLING, async |library, role, size| {
        let (stream, peer) = open(library, role, LINE, PayloadType::Binary).await;
        unconstrained(async {
            let mut tasks = Tasks::new(stream, peer);
            tasks.write(bytes(size));
            tasks.end_writer();
            tasks.run();
            let payload = tasks.peer.payload();
            assert_eq!(payload.len(), size);
            assert!(payload == bytes(size));
        })
        .await;
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn payload_that_waits_for_the_line_in_a_tls_library_leaves_though_its_writer_has_gone() {
    payload_leaves_though_its_writer_has_gone(TLS_LIBRARIES).await;
}

#[tokio::test(start_paused = true)]
async fn payload_that_waits_for_a_flush_in_a_buf_stream_leaves_though_its_writer_has_gone() {
    payload_leaves_though_its_writer_has_gone(BUF_STREAM).await;
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_answers_is_not_timed_out_though_another_task_writes_after_the_ping() {
    everywhere(&libraries(), &FILLING, async |library, role, size| {
        let config = Config::new().keep_alive(INTERVAL, TIMEOUT);
        let (stream, peer) = open(library, role, LINE, config).await;
        unconstrained(async {
            let mut tasks = Tasks::new(stream, peer);
            tasks.write(bytes(size));
            advance(INTERVAL).await;
            sleep(Duration::from_millis(2)).await;
            assert!(tasks.run_reader(), "the ping is due");
            tasks.write(bytes(1000));
            tasks.end_writer();
            // The peer reads all that it gets, long before the time is up, and answers at once.
            tasks.run();
            assert_eq!(tasks.peer.all(PING).len(), 1);
            tasks.peer_sends(PONG, b"");
            tasks.run();
            // Until the next ping is due.
            advance(INTERVAL - Duration::from_secs(1)).await;
            tasks.run();
            tasks.peer_sends(BINARY, b"x");
            assert!(tasks.run_reader());
        })
        .await;
    })
    .await;
}

/// Whether the writer flushes now and then, and shuts down at the end.
#[derive(Clone, Copy, PartialEq)]
enum Flushes {
    Never,
    NowAndThen,
}

/// A random order of what the two tasks and the peer do, and after that whatever moves.
async fn nothing_gets_stuck(libraries: &[Library], flushes: Flushes) {
    let seeds: Vec<u64> = (0..SEEDS).collect();
    everywhere(libraries, &seeds, async |library, role, seed| {
        let (stream, peer) = open(library, role, LINE, PayloadType::Binary).await;
        unconstrained(async {
            let mut random = StdRng::seed_from_u64(seed);
            let mut tasks = Tasks::new(stream, peer);
            let mut written = Vec::new();
            let mut pings = 0_u8;
            for _ in 0..60 {
                match random.gen_range(0..7) {
                    0 => {
                        let piece = bytes(random.gen_range(1..50_000));
                        written.extend(&piece);
                        tasks.write(piece);
                    }
                    1 => {
                        pings += 1;
                        tasks.peer_sends(PING, &[pings]);
                    }
                    2 => tasks.peer_reads_some(random.gen_range(1..40_000)),
                    3 if flushes == Flushes::NowAndThen => tasks.flush(),
                    3 | 4 => drop(tasks.run_writer()),
                    _ => drop(tasks.run_reader()),
                }
            }
            if flushes == Flushes::NowAndThen {
                // A ping that is read after our Close gets no answer.
                while tasks.run_reader() {}
                tasks.shut_down();
            }
            tasks.end_writer();
            tasks.run();
            let payload = tasks.peer.payload();
            assert_eq!(payload.len(), written.len());
            assert!(payload == written);
            assert!(tasks.writer_ended);
            // Of several pings, the latest is answered (RFC 6455 section 5.5.3).
            if pings > 0 {
                assert_eq!(tasks.peer.all(PONG).last(), Some(&&[pings][..]));
            }
            if flushes == Flushes::NowAndThen {
                let close = close_payload(1000, "");
                assert_eq!(tasks.peer.all(CLOSE), [&close[..]]);
                tasks.peer_sends(CLOSE, &close);
                assert!(tasks.reader.is_woken());
                assert_ready_ok!(tasks.reader.poll());
            }
        })
        .await;
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn nothing_gets_stuck_in_whatever_order_two_tasks_and_the_peer_go_on() {
    nothing_gets_stuck(&libraries(), Flushes::NowAndThen).await;
}

#[tokio::test(start_paused = true)]
async fn nothing_gets_stuck_though_nobody_flushes() {
    nothing_gets_stuck(TLS_LIBRARIES, Flushes::Never).await;
}
