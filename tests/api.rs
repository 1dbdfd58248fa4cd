//! The shape of the API: traits, bounds, and what the published 0.1 offered.

mod common;

use common::{in_time, stream};
use fastwebsockets_stream::{
    CloseFrame, Config, Error, PayloadType, Violation, WebSocketStream,
    fastwebsockets::{OpCode, Role, WebSocket},
};
use static_assertions::{assert_impl_all, assert_not_impl_any};
use std::{
    cell::Cell, collections::HashSet, fmt::Debug, fs, hash::Hash, marker::PhantomPinned,
    path::Path, rc::Rc, sync::MutexGuard,
};
use tokio::io::{
    AsyncBufRead, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, duplex,
};

// Send, Sync and Unpin exactly when the transport is.
assert_impl_all!(WebSocketStream<DuplexStream>: Send, Sync, Unpin);
assert_impl_all!(WebSocketStream<Rc<()>>: Unpin);
assert_not_impl_any!(WebSocketStream<Rc<()>>: Send, Sync);
assert_impl_all!(WebSocketStream<Cell<u8>>: Send, Unpin);
assert_not_impl_any!(WebSocketStream<Cell<u8>>: Sync);
assert_impl_all!(WebSocketStream<MutexGuard<'static, u8>>: Sync, Unpin);
assert_not_impl_any!(WebSocketStream<MutexGuard<'static, u8>>: Send);
assert_impl_all!(WebSocketStream<PhantomPinned>: Send, Sync);
assert_not_impl_any!(WebSocketStream<PhantomPinned>: Unpin);

// And so is the transport of a handshake, though what hyper gives isn't `Sync`.
#[cfg(feature = "handshake")]
assert_impl_all!(WebSocketStream<fastwebsockets_stream::Transport>: Send, Sync, Unpin, Debug);

assert_impl_all!(WebSocketStream<DuplexStream>: AsyncRead, AsyncBufRead, AsyncWrite, Debug);
assert_impl_all!(WebSocketStream<()>: Debug);
assert_not_impl_any!(WebSocketStream<()>: AsyncRead, AsyncWrite);

assert_impl_all!(PayloadType: Copy, Eq, Hash, Debug, Default, Send, Sync);
assert_impl_all!(Config: Copy, Eq, Debug, Default, Send, Sync);
assert_impl_all!(Error: std::error::Error, Send, Sync);
assert_impl_all!(Violation: std::error::Error, Copy, Send, Sync);
assert_impl_all!(CloseFrame: std::error::Error, Clone, Send, Sync);

#[test]
fn any_transport_will_do_borrowed_ones_too() {
    fn borrowed<S: AsyncRead + AsyncWrite + Unpin>(io: &mut S) -> WebSocketStream<&mut S> {
        WebSocketStream::after_handshake(io, Role::Client, PayloadType::Binary)
    }
    let (mut a, _b) = duplex(10);
    assert!(borrowed(&mut a).role() == Role::Client);
}

#[test]
fn debug_does_not_ask_the_transport() {
    let (stream, _peer) = stream(Role::Server, PayloadType::Text);
    let debug = format!("{stream:?}");
    assert!(debug.contains("Server") && debug.contains("Text"), "{debug}");
}

#[test]
fn payload_types() {
    assert_eq!(PayloadType::default(), PayloadType::Binary);
    assert_eq!(OpCode::from(PayloadType::Binary), OpCode::Binary);
    assert_eq!(OpCode::from(PayloadType::Text), OpCode::Text);
    assert_eq!(Config::from(PayloadType::Text), Config::new().payload_type(PayloadType::Text));
    let copies = [PayloadType::Text, PayloadType::Binary, PayloadType::Text];
    assert_eq!(copies.into_iter().collect::<HashSet<_>>().len(), 2);
}

#[test]
fn a_stream_knows_what_it_is() {
    for role in common::ROLES {
        for payload_type in [PayloadType::Text, PayloadType::Binary] {
            let (stream, _peer) = stream(role, payload_type);
            assert!(stream.role() == role);
            assert_eq!(stream.payload_type(), payload_type);
        }
    }
}

#[test]
fn an_error_has_its_kind() {
    let error = std::io::Error::from(Error::Protocol(Violation::MaskedFrame));
    assert_eq!(error.kind(), Error::Protocol(Violation::MaskedFrame).kind());
}

#[test]
fn the_transport_can_be_reached() {
    let (mut stream, peer) = stream(Role::Server, Config::new());
    peer.not_vectored();
    assert!(!stream.get_ref().is_write_vectored());
    assert!(!stream.get_mut().is_write_vectored());
}

/// Code written for the published 0.1: the same names and bounds.
async fn generic<S>(ws: WebSocket<S>) -> Option<WebSocket<S>>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut stream = WebSocketStream::new(ws, PayloadType::Binary);
    assert!(!stream.is_closed());
    stream.write_all(b"ping").await.unwrap();
    stream.flush().await.unwrap();
    let mut answer = [0; 4];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"pong");
    stream.into_inner()
}

#[tokio::test]
async fn users_of_the_published_crate_can_switch() {
    let (a, b) = duplex(1024);
    let client = tokio::spawn(generic(WebSocket::after_handshake(a, Role::Client)));
    let server = WebSocket::after_handshake(b, Role::Server);
    let mut server = WebSocketStream::new(server, PayloadType::Binary);
    in_time(async {
        server.read_exact(&mut [0; 4]).await.unwrap();
        server.write_all(b"pong").await.unwrap();
        assert!(client.await.unwrap().is_some());
    })
    .await;
}

/// What README, guide and SECURITY.md point to in backticks.
#[test]
fn the_tests_and_examples_that_the_docs_name_are_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let guide = fs::read_dir(root.join("src/guide")).unwrap().map(|page| page.unwrap().path());
    let pages = guide.chain(["README.md", "SECURITY.md"].map(|page| root.join(page)));
    let mut named = 0;
    for page in pages {
        let text = fs::read_to_string(&page).unwrap();
        for path in text.split('`') {
            let first = path.split(' ').next().unwrap_or_default();
            if first.starts_with("tests/") || first.starts_with("examples/") {
                assert!(root.join(first).exists(), "{first} in {}", page.display());
                named += 1;
            }
        }
    }
    assert!(named > 50, "only {named} were found");
}

/// The guarantees name tests: `a_test` and others in `tests/a_file.rs`.
#[test]
fn the_guarantees_name_tests_that_are_in_the_files_beside_them() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = fs::read_to_string(root.join("src/guide/guarantees.md")).unwrap();
    let mut found = 0;
    for line in page.lines() {
        let mut tests = Vec::new();
        for word in line.split('`').skip(1).step_by(2) {
            if word.starts_with("tests/") {
                let file = root.join(word);
                for test in tests.drain(..) {
                    let source = fs::read_to_string(&file).unwrap();
                    assert!(source.contains(&format!("fn {test}(")), "{test} in {word}");
                    found += 1;
                }
            } else if word.matches('_').count() > 2 {
                tests.push(word);
            }
        }
        assert!(tests.is_empty(), "{tests:?} in no file");
    }
    assert!(found > 10, "only {found} were found");
}

/// A transport that must not move once it is polled.
#[tokio::test]
async fn a_transport_that_is_not_unpin_works_pinned() {
    pin_project_lite::pin_project! {
        struct Immovable { #[pin] io: DuplexStream, #[pin] pinned: PhantomPinned }
    }
    use std::{
        io,
        pin::{Pin, pin},
        task::{Context, Poll},
    };
    impl AsyncRead for Immovable {
        fn poll_read(
            self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            buf: &mut tokio::io::ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            self.project().io.poll_read(cx, buf)
        }
    }
    impl AsyncWrite for Immovable {
        fn poll_write(
            self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            buf: &[u8],
        ) -> Poll<io::Result<usize>> {
            self.project().io.poll_write(cx, buf)
        }
        fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            self.project().io.poll_flush(cx)
        }
        fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            self.project().io.poll_shutdown(cx)
        }
    }
    let (a, b) = duplex(100);
    let io = Immovable { io: a, pinned: PhantomPinned };
    let mut pinned = pin!(WebSocketStream::after_handshake(io, Role::Client, Config::new()));
    let mut other = WebSocketStream::after_handshake(b, Role::Server, Config::new());
    in_time(async {
        pinned.write_all(b"still").await.unwrap();
        pinned.shutdown().await.unwrap();
        let mut received = String::new();
        other.read_to_string(&mut received).await.unwrap();
        assert_eq!(received, "still");
        assert_eq!(pinned.read(&mut [0; 9]).await.unwrap(), 0);
    })
    .await;
}
