//! A process that forks: its child doesn't go on with the same masking keys (RFC 6455 section 10.3).
#![cfg(unix)]

mod common;

use common::{stream, transports::Wire};
use fastwebsockets_stream::{PayloadType, WebSocketStream, fastwebsockets::Role};
use std::{
    collections::HashSet,
    io::{Read, Write},
    os::unix::net::UnixStream,
    pin::Pin,
};
use tokio::io::AsyncWrite;
use tokio_test::{assert_ready_ok, task};

/// The keys of some frames of one byte.
fn keys(stream: &mut WebSocketStream<Wire>, peer: &common::transports::Peer) -> Vec<u8> {
    let mut writer = task::spawn(());
    let mut keys = Vec::new();
    for _ in 0..200 {
        assert_ready_ok!(writer.enter(|cx, _| Pin::new(&mut *stream).poll_write(cx, b"x")));
        keys.extend(&peer.received()[2..6]);
    }
    keys
}

#[test]
fn parent_and_child_have_keys_of_their_own() {
    let (mut stream, peer) = stream(Role::Client, PayloadType::Binary);
    // Somewhere within what a generator makes in advance.
    keys(&mut stream, &peer);
    let (mut parent, mut child) = UnixStream::pair().unwrap();
    // SAFETY: the child uses nothing that another thread may have locked, and ends without running
    // anything else of this process.
    match unsafe { libc::fork() } {
        -1 => panic!("no child: {}", std::io::Error::last_os_error()),
        0 => {
            let sent = child.write_all(&keys(&mut stream, &peer)).is_ok();
            // SAFETY: it takes any number.
            unsafe { libc::_exit(i32::from(!sent)) }
        }
        pid => {
            drop(child);
            let ours = keys(&mut stream, &peer);
            let mut theirs = Vec::new();
            parent.read_to_end(&mut theirs).unwrap();
            let mut status = -1;
            // SAFETY: the child is ours, and `status` outlives the call.
            assert_eq!(unsafe { libc::waitpid(pid, &mut status, 0) }, pid);
            assert_eq!((status, theirs.len()), (0, ours.len()));
            let ours: HashSet<&[u8]> = ours.chunks(4).collect();
            let alike = theirs.chunks(4).filter(|key| ours.contains(key)).count();
            // One pair of 40 000 is alike once in 100 000 runs.
            assert!(alike <= 1, "{alike} keys of 200 are alike");
        }
    }
}
