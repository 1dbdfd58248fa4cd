//! The example `tunnel`, as processes: what a user of TCP sees of it.
#![cfg(all(unix, feature = "tls"))]

#[path = "../common/process.rs"]
#[allow(dead_code, reason = "other tests count descriptors")]
mod process;
mod program;

use program::Program;
use rand::RngCore;
use std::{
    future::Future,
    io::ErrorKind,
    net::SocketAddr,
    sync::{Arc, LazyLock},
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpSocket, TcpStream},
    task::JoinSet,
    time::timeout,
};

/// Options of a client: what is carried how.
const WAYS: [&[&str]; 3] = [&[], &["--http2"], &["--http2", "--connections", "3"]];

/// Random, so that nothing can be lost, repeated or moved unseen.
static BYTES: LazyLock<Arc<[u8]>> = LazyLock::new(|| {
    let mut bytes = vec![0; 8 << 20];
    rand::thread_rng().fill_bytes(&mut bytes);
    bytes.into()
});

async fn in_time<F: Future>(future: F) -> F::Output {
    timeout(Duration::from_secs(60), future).await.expect("took too long")
}

/// A server of TCP. It ends with its value.
struct Target {
    address: SocketAddr,
    _accepting: JoinSet<()>,
}

impl Target {
    async fn start<F>(serve: impl Fn(TcpStream) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut accepting = JoinSet::new();
        accepting.spawn(async move {
            let mut serving = JoinSet::new();
            loop {
                serving.spawn(serve(listener.accept().await.unwrap().0));
            }
        });
        Self { address, _accepting: accepting }
    }

    /// Answers what has come, once all has come: the client has to end its direction before.
    async fn answers_at_the_end() -> Self {
        Self::start(async |mut tcp: TcpStream| {
            let mut question = Vec::new();
            tcp.read_to_end(&mut question).await.unwrap();
            question.reverse();
            tcp.write_all(&question).await.unwrap();
        })
        .await
    }

    async fn echoes() -> Self {
        Self::start(async |mut tcp: TcpStream| {
            let (mut reads, mut writes) = tcp.split();
            let _broken = tokio::io::copy(&mut reads, &mut writes).await;
        })
        .await
    }

    /// Says something, and breaks the connection when it gets an answer.
    async fn breaks() -> Self {
        Self::start(async |mut tcp: TcpStream| {
            tcp.write_all(b"something").await.unwrap();
            let _answer = tcp.read_u8().await;
            tcp.set_zero_linger().unwrap();
        })
        .await
    }
}

/// Sends these bytes, ends its direction, and reads the answer to its end.
async fn ask(address: SocketAddr, question: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut tcp = TcpStream::connect(address).await?;
    let (mut reads, mut writes) = tcp.split();
    let mut answer = Vec::new();
    let (sent, received) = tokio::join!(
        async {
            writes.write_all(question).await?;
            writes.shutdown().await
        },
        reads.read_to_end(&mut answer)
    );
    sent?;
    received?;
    Ok(answer)
}

async fn is_answered(address: SocketAddr, question: &[u8]) {
    let mut expected = question.to_vec();
    expected.reverse();
    assert!(in_time(ask(address, question)).await.unwrap() == expected);
}

/// That a connection breaks, with or without some bytes before.
async fn is_reset(tcp: &mut TcpStream) {
    let error = in_time(tcp.read_to_end(&mut Vec::new())).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn each_direction_ends_by_itself_and_brings_every_byte() {
    let target = Target::answers_at_the_end().await;
    for masking in [&[][..], &["--no-masking"]] {
        let server = Program::server(&[target.address], masking).await;
        for way in WAYS {
            let client = Program::client(&server, target.address, &[way, masking].concat()).await;
            is_answered(client.address, &BYTES).await;
            is_answered(client.address, b"").await;
            let len = BYTES.len().to_string();
            client.says(&[&len, " bytes sent, ", " received", "done"]).await;
        }
        let len = BYTES.len();
        server.says(&[&format!("{len} bytes sent, {len} received"), "done"]).await;
    }
}

#[tokio::test]
async fn a_hundred_at_once() {
    let target = Target::answers_at_the_end().await;
    let server = Program::server(&[target.address], &[]).await;
    for way in WAYS {
        let client = Program::client(&server, target.address, way).await;
        let mut asking = JoinSet::new();
        for number in 0..100 {
            let address = client.address;
            asking.spawn(async move {
                is_answered(address, &BYTES[number * 1000..][..200_000 + number]).await;
            });
        }
        assert_eq!(asking.join_all().await.len(), 100);
        assert_eq!(client.says_often(100, &["bytes sent", "done"]).await.len(), 100);
        client.says(&["200099 bytes sent, 200099 received", "done"]).await;
    }
}

#[tokio::test]
async fn over_tls_the_certificate_is_checked() {
    let target = Target::answers_at_the_end().await;
    let key = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let files = tempfile::tempdir().unwrap();
    let [chain, private] = ["chain.pem", "key.pem"].map(|name| files.path().join(name));
    std::fs::write(&chain, key.cert.pem()).unwrap();
    std::fs::write(&private, key.signing_key.serialize_pem()).unwrap();
    let [chain, private] = [&chain, &private].map(|path| path.to_str().unwrap());

    let server = Program::server(&[target.address], &["--tls", chain, private]).await;
    let via = format!("wss://localhost:{}/", server.address.port());
    let to = target.address.to_string();
    for way in WAYS {
        let arguments = [&["client", "--via", &via, "--to", &to], way].concat();
        let client = Program::start(&arguments, &[("SSL_CERT_FILE", chain)]).await;
        is_answered(client.address, &BYTES[..1_000_000]).await;
        let distrusts = Program::start(&arguments, &[("SSL_CERT_FILE", "/dev/null")]).await;
        in_time(ask(distrusts.address, b"x")).await.unwrap_err();
        distrusts.says(&["certificate"]).await;
    }
}

#[tokio::test]
async fn only_with_the_token_and_only_to_what_is_allowed() {
    let (target, other) = (Target::echoes().await, Target::echoes().await);
    let server = Program::server(&[target.address], &["--token", "a secret"]).await;
    for way in WAYS {
        let with = |token| [way, &["--token", token]].concat();
        let client = Program::client(&server, target.address, &with("a secret")).await;
        assert_eq!(in_time(ask(client.address, b"hello")).await.unwrap(), b"hello");
        for (refused, status) in [
            (Program::client(&server, target.address, way).await, "401"),
            (Program::client(&server, target.address, &with("a")).await, "401"),
            (Program::client(&server, target.address, &with("b secret")).await, "401"),
            (Program::client(&server, other.address, &with("a secret")).await, "403"),
        ] {
            let error = in_time(ask(refused.address, b"hello")).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::ConnectionReset);
            refused.says(&[&format!("the server answered {status}")]).await;
        }
    }
    assert!(server.has_said(&["a secret"]).is_empty(), "nobody reads the token in the log");
}

#[tokio::test]
async fn a_target_that_is_not_there_is_a_reset() {
    // Nobody else can have the port meanwhile.
    let silent = TcpSocket::new_v4().unwrap();
    silent.bind(([127, 0, 0, 1], 0).into()).unwrap();
    let nobody = silent.local_addr().unwrap();
    let server = Program::server(&[nobody], &[]).await;
    for way in WAYS {
        let client = Program::client(&server, nobody, way).await;
        let error = in_time(ask(client.address, b"hello")).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
        client.says(&["the server answered 502"]).await;
    }
}

#[tokio::test]
async fn what_breaks_at_one_side_is_reset_at_the_other() {
    for way in WAYS {
        // The target.
        let target = Target::breaks().await;
        let server = Program::server(&[target.address], &[]).await;
        let client = Program::client(&server, target.address, way).await;
        let mut tcp = TcpStream::connect(client.address).await.unwrap();
        in_time(tcp.read_exact(&mut [0; 9])).await.unwrap();
        tcp.write_all(b"!").await.unwrap();
        is_reset(&mut tcp).await;
        server.says(&["9 bytes sent, 1 received"]).await;

        // The server.
        let target = Target::echoes().await;
        let server = Program::server(&[target.address], &[]).await;
        let client = Program::client(&server, target.address, way).await;
        let mut tcp = TcpStream::connect(client.address).await.unwrap();
        tcp.write_all(b"something").await.unwrap();
        in_time(tcp.read_exact(&mut [0; 9])).await.unwrap();
        drop(server);
        is_reset(&mut tcp).await;
    }
}

#[tokio::test]
async fn who_breaks_the_connection_to_the_client_breaks_it_at_the_target() {
    for way in WAYS {
        let (ended, mut ends) = tokio::sync::mpsc::unbounded_channel();
        let target = Target::start(move |mut tcp: TcpStream| {
            let ended = ended.clone();
            async move {
                tcp.write_all(b"something").await.unwrap();
                ended.send(tcp.read_to_end(&mut Vec::new()).await).unwrap();
            }
        })
        .await;
        let server = Program::server(&[target.address], &[]).await;
        let client = Program::client(&server, target.address, way).await;
        let mut tcp = TcpStream::connect(client.address).await.unwrap();
        in_time(tcp.read_exact(&mut [0; 9])).await.unwrap();
        tcp.set_zero_linger().unwrap();
        drop(tcp);
        let end = in_time(ends.recv()).await.unwrap();
        assert_eq!(end.unwrap_err().kind(), ErrorKind::ConnectionReset);
    }
}

#[tokio::test]
async fn whoever_is_killed_leaves_nothing_that_looks_complete() {
    for way in WAYS {
        for killed in ["server", "client"] {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let target = listener.local_addr().unwrap();
            let server = Program::server(&[target], &[]).await;
            let client = Program::client(&server, target, way).await;
            let mut here = TcpStream::connect(client.address).await.unwrap();
            let (mut there, _) = in_time(listener.accept()).await.unwrap();
            here.write_all(b"something").await.unwrap();
            in_time(there.read_exact(&mut [0; 9])).await.unwrap();
            // Dropped, it is killed; the other one is there until both ends have been seen.
            let (_other, gone) =
                if killed == "server" { (client, server) } else { (server, client) };
            drop(gone);
            is_reset(&mut here).await;
            is_reset(&mut there).await;
        }
    }
}

#[tokio::test]
async fn ctrl_c_does_not_wait_for_a_server_that_does_not_answer() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let via = format!("ws://{}/", silent.local_addr().unwrap());
    for way in WAYS {
        let arguments = [&["client", "--via", &via, "--to", "127.0.0.1:1"], way].concat();
        let client = Program::start(&arguments, &[]).await;
        let mut tcp = TcpStream::connect(client.address).await.unwrap();
        let (mut asked, _) = in_time(silent.accept()).await.unwrap();
        in_time(asked.read_u8()).await.unwrap();
        client.interrupt();
        timeout(Duration::from_secs(10), is_reset(&mut tcp)).await.expect("waits for an answer");
        client.says(&["stopped"]).await;
        assert!(client.ends().await.success());
    }
}

#[tokio::test]
async fn a_request_that_opens_no_websocket_reaches_no_target() {
    let target = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = target.local_addr().unwrap();
    let server = Program::server(&[address], &[]).await;
    let mut http = TcpStream::connect(server.address).await.unwrap();
    let head = format!("GET / HTTP/1.1\r\nhost: tunnel\r\ntunnel-target: {address}\r\n");
    http.write_all(format!("{head}connection: close\r\n\r\n").as_bytes()).await.unwrap();
    let mut answer = String::new();
    in_time(http.read_to_string(&mut answer)).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 426 "), "{answer}");
    // The connection of a WebSocket is the first one that comes.
    let client = Program::client(&server, address, &[]).await;
    let mut tcp = TcpStream::connect(client.address).await.unwrap();
    tcp.write_all(b"x").await.unwrap();
    let (mut first, _) = in_time(target.accept()).await.unwrap();
    assert_eq!(in_time(first.read_u8()).await.unwrap(), b'x');
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_at_the_start() {
    let server = ["server", "--allow", "127.0.0.1:1"];
    let client = ["client", "--via", "ws://localhost/", "--to", "127.0.0.1:1"];
    let one_chain = ["--tls", "chain.pem", "key.pem"];
    for (arguments, complaint) in [
        ([&server, &one_chain[..], &one_chain].concat(), "--tls"),
        ([&server, &["--token", ""][..]].concat(), "--token"),
        ([&client, &["--connections", "2"][..]].concat(), "--http2"),
        ([&client, &["--http2", "--connections", "0"][..]].concat(), "--connections"),
    ] {
        let refused = program::refused(&arguments).await;
        assert!(refused.contains(complaint), "{refused}");
    }
}

#[tokio::test]
async fn ctrl_c_resets_what_is_open_and_ends_the_program() {
    for way in WAYS {
        for stops in ["server", "client"] {
            let target = Target::echoes().await;
            let server = Program::server(&[target.address], &[]).await;
            let client = Program::client(&server, target.address, way).await;
            let mut open = Vec::new();
            for _ in 0..3 {
                let mut tcp = TcpStream::connect(client.address).await.unwrap();
                tcp.write_all(b"something").await.unwrap();
                in_time(tcp.read_exact(&mut [0; 9])).await.unwrap();
                open.push(tcp);
            }
            let (stopped, other) =
                if stops == "server" { (server, client) } else { (client, server) };
            stopped.interrupt();
            for tcp in &mut open {
                is_reset(tcp).await;
            }
            stopped.says(&["9 bytes sent, 9 received", "stopped"]).await;
            other.says(&["9 bytes sent, 9 received", "Close 1012"]).await;
            assert!(stopped.ends().await.success());
        }
    }
}

#[tokio::test]
async fn whoever_does_not_read_stops_the_sender_and_costs_bounded_memory() {
    const MIB: usize = 1 << 20;
    for way in WAYS {
        let read = Arc::new(tokio::sync::Notify::new());
        let may_read = Arc::clone(&read);
        let target = Target::start(move |mut tcp: TcpStream| {
            let may_read = Arc::clone(&may_read);
            async move {
                may_read.notified().await;
                let mut received = Vec::new();
                tcp.read_to_end(&mut received).await.unwrap();
                tcp.write_all(&received.len().to_be_bytes()).await.unwrap();
            }
        })
        .await;
        let server = Program::server(&[target.address], &[]).await;
        let client = Program::client(&server, target.address, way).await;
        let mut tcp = TcpStream::connect(client.address).await.unwrap();
        let mut sent = 0;
        // As long as it takes anything within a second.
        while timeout(Duration::from_secs(1), tcp.write_all(&BYTES[..MIB])).await.is_ok() {
            sent += MIB;
            assert!(sent < 100 * MIB, "nothing stops the sender");
        }
        assert!(sent > 0, "nothing passes");
        for program in [&server, &client] {
            let resident = process::resident(program.id()).unwrap();
            assert!(resident < 64 << 20, "{resident} bytes");
        }
        read.notify_one();
        in_time(tcp.shutdown()).await.unwrap();
        let received = in_time(tcp.read_u64()).await.unwrap() as usize;
        assert!(received >= sent, "{received} of {sent}");
    }
}
