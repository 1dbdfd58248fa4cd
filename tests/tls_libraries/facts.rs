//! What the libraries do without us. If one of these changes, the scenes no longer test what they are
//! for.

use crate::{
    LINE, ROLES,
    common::bytes,
    libraries::{Library, RUSTLS, Tls, Transport},
};
use std::{
    pin::Pin,
    task::{Context, Poll},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    task::unconstrained,
};
use tokio_test::{assert_pending, assert_ready_ok, task::spawn};

/// Reads what is there.
fn read_all(cx: &mut Context<'_>, io: &mut Transport) -> Vec<u8> {
    let (mut all, mut memory) = (Vec::new(), vec![0; LINE]);
    loop {
        let mut buf = ReadBuf::new(&mut memory);
        match Pin::new(&mut *io).poll_read(cx, &mut buf) {
            Poll::Ready(read) => read.unwrap(),
            Poll::Pending => return all,
        }
        all.extend(buf.filled());
    }
}

#[tokio::test]
async fn rustls_keeps_what_it_takes_for_a_full_line_and_only_a_flush_sends_it_on() {
    for &library in RUSTLS {
        for role in ROLES {
            let (mut io, mut other) = library.connect(role, LINE).await;
            unconstrained(async {
                let (mut near, mut far) = (spawn(()), spawn(()));
                let sent = bytes(60_000);
                let n = near.enter(|cx, _| Pin::new(&mut io).poll_write(cx, &sent));
                assert_eq!(assert_ready_ok!(n), sent.len());

                let mut received = far.enter(|cx, _| read_all(cx, &mut other));
                assert!(near.is_woken());
                assert!(near.enter(|cx, _| read_all(cx, &mut io)).is_empty(), "a read");
                assert!(far.enter(|cx, _| read_all(cx, &mut other)).is_empty(), "sends nothing");
                assert!(received.len() < LINE);

                assert_ready_ok!(near.enter(|cx, _| Pin::new(&mut io).poll_flush(cx)));
                received.extend(far.enter(|cx, _| read_all(cx, &mut other)));
                assert!(received == sent);
            })
            .await;
        }
    }
}

#[tokio::test]
async fn rustls_leaves_the_waker_of_a_write_that_is_ready_on_the_line() {
    for &library in RUSTLS {
        let (mut io, mut other) = library.connect(ROLES[0], LINE).await;
        unconstrained(async {
            let (mut flushes, mut writes, mut far) = (spawn(()), spawn(()), spawn(()));
            let _ready = flushes.enter(|cx, _| Pin::new(&mut io).poll_write(cx, &bytes(60_000)));
            assert_pending!(flushes.enter(|cx, _| Pin::new(&mut io).poll_flush(cx)));
            assert_ready_ok!(writes.enter(|cx, _| Pin::new(&mut io).poll_write(cx, b"x")));
            far.enter(|cx, _| read_all(cx, &mut other));
            assert!(writes.is_woken() && !flushes.is_woken());
        })
        .await;
    }
}

#[cfg(feature = "openssl")]
#[tokio::test]
async fn openssl_sends_the_bytes_of_the_first_try_and_counts_them_as_those_of_the_second() {
    for &library in crate::libraries::OPENSSL {
        for role in ROLES {
            let (mut io, mut other) = library.connect(role, 8 * 1024).await;
            unconstrained(async {
                let (mut near, mut far) = (spawn(()), spawn(()));
                let (first, second) = ([1; 10_000], [2; 10_000]);
                assert_pending!(near.enter(|cx, _| Pin::new(&mut io).poll_write(cx, &first)));
                assert!(far.enter(|cx, _| read_all(cx, &mut other)).is_empty(), "half a record");
                let n = near.enter(|cx, _| Pin::new(&mut io).poll_write(cx, &second));
                assert_eq!(assert_ready_ok!(n), second.len());
                assert!(far.enter(|cx, _| read_all(cx, &mut other)) == first);
            })
            .await;
        }
    }
}

/// So a retry has to offer everything again, and no less: not even the part of it that has arrived may
/// be left out. This is so with `ENABLE_PARTIAL_WRITE`, too.
#[cfg(feature = "openssl")]
#[tokio::test]
async fn openssl_is_pending_until_all_of_a_write_that_waited_has_gone() {
    for &library in crate::libraries::OPENSSL {
        for role in ROLES {
            let (mut io, mut other) = library.connect(role, 8 * 1024).await;
            unconstrained(async {
                let (mut near, mut far) = (spawn(()), spawn(()));
                let sent = bytes(60_000);
                let mut received = Vec::new();
                let mut waited = 0;
                loop {
                    let n = near.enter(|cx, _| Pin::new(&mut io).poll_write(cx, &sent));
                    received.extend(far.enter(|cx, _| read_all(cx, &mut other)));
                    if n.is_ready() {
                        assert_eq!(assert_ready_ok!(n), sent.len());
                        break;
                    }
                    assert!(received.len() < sent.len());
                    waited += 1;
                }
                assert!(waited > 3 && received == sent);
            })
            .await;
        }
    }
}

#[cfg(feature = "openssl")]
#[tokio::test]
async fn openssl_refuses_a_second_try_with_fewer_bytes_and_takes_a_flush_for_none() {
    for &library in crate::libraries::OPENSSL {
        for role in ROLES {
            let (mut io, mut other) = library.connect(role, 8 * 1024).await;
            unconstrained(async {
                let (mut near, mut far) = (spawn(()), spawn(()));
                assert_pending!(near.enter(|cx, _| Pin::new(&mut io).poll_write(cx, &[1; 10_000])));
                assert!(far.enter(|cx, _| read_all(cx, &mut other)).is_empty());
                assert_ready_ok!(near.enter(|cx, _| Pin::new(&mut io).poll_flush(cx)));
                assert!(far.enter(|cx, _| read_all(cx, &mut other)).is_empty());
                let again = near.enter(|cx, _| Pin::new(&mut io).poll_write(cx, &[1; 9_999]));
                assert!(matches!(again, Poll::Ready(Err(_))), "{again:?}");
            })
            .await;
        }
    }
}

#[tokio::test]
async fn rustls_and_the_wrapper_take_vectored_writes_and_openssl_takes_none() {
    for (library, vectored) in [
        (Library::Rustls(Tls::V12), true),
        (Library::Rustls(Tls::V13), true),
        #[cfg(feature = "openssl")]
        (Library::OpenSsl(Tls::V12), false),
        #[cfg(feature = "openssl")]
        (Library::OpenSsl(Tls::V13), false),
        #[cfg(feature = "openssl")]
        (Library::OpenSslVectored, true),
        #[cfg(feature = "openssl")]
        (Library::OpenSslWhole, false),
        (Library::BufStream, true),
    ] {
        let (io, _other) = library.connect(ROLES[0], LINE).await;
        assert_eq!(io.is_write_vectored(), vectored, "{library:?}");
    }
}
