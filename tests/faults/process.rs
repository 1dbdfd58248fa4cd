//! The peer as a process of its own, which can be killed: this test binary, started again.

use crate::{
    http::{Server, Version},
    pattern::{BOUND, read_on, write_on},
};
use fastwebsockets_stream::{
    client::{Builder, Http2},
    server::{Acceptor, Upgrade},
};
use std::{
    io::{BufRead, BufReader},
    net::SocketAddr,
    process::{Child, Command, Stdio},
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    runtime::Runtime,
    time::timeout,
};

/// What the process is to do: `PART` or `PART ADDRESS VERSION`.
const PART: &str = "FAULTS_PART";

/// The other process. It is killed, or ends by itself after a while.
#[test]
#[ignore = "the other process of these tests, not a test"]
fn other_process() {
    let part = std::env::var(PART).expect("started by a test here");
    let runtime = Runtime::new().unwrap();
    let _ended = runtime.block_on(async { timeout(4 * BOUND, play(&part)).await });
}

async fn play(part: &str) {
    let words: Vec<&str> = part.split(' ').collect();
    let _server = match words[..] {
        ["accepts"] => {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            println!("\naddress {}", listener.local_addr().unwrap());
            let _accepted = listener.accept().await.unwrap();
            return std::future::pending().await;
        }
        [part @ ("reads" | "writes")] => {
            let writes = part == "writes";
            let server = Server::start(Acceptor::new(), move |upgrade: Upgrade| async move {
                transfer(&mut upgrade.await.unwrap(), writes).await;
            })
            .await;
            println!("\naddress {}", server.address);
            server
        }
        [part, address, version] => {
            let builder = Builder::new(format!("ws://{address}/"));
            let tcp = TcpStream::connect(address).await.unwrap();
            let mut stream = if version == "Http1" {
                builder.http1(tcp).await.unwrap().0
            } else {
                builder.http2(&Http2::handshake(tcp).await.unwrap()).await.unwrap().0
            };
            return transfer(&mut stream, part == "writes").await;
        }
        _ => panic!("{part}"),
    };
    std::future::pending::<()>().await;
}

pub(crate) async fn transfer(stream: &mut (impl AsyncRead + AsyncWrite + Unpin), writes: bool) {
    if writes {
        write_on(stream).await;
    } else {
        let _end = read_on(stream, 0).await;
    }
}

/// Killed with its value, and waited for.
pub(crate) struct Process(Child);

impl Process {
    /// A server: one that `reads`, `writes`, or `accepts` connections and does nothing.
    pub(crate) fn server(part: &str) -> (Self, SocketAddr) {
        let mut process = Self::start(part, Stdio::piped());
        let output = BufReader::new(process.0.stdout.take().unwrap());
        let mut lines = output.lines().map(Result::unwrap);
        let address = lines.find_map(|line| Some(line.strip_prefix("address ")?.parse().unwrap()));
        (process, address.expect("the other process tells its address"))
    }

    /// A client that `reads` or `writes`.
    pub(crate) fn client(part: &str, address: SocketAddr, version: Version) -> Self {
        Self::start(&format!("{part} {address} {version:?}"), Stdio::null())
    }

    fn start(part: &str, output: Stdio) -> Self {
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "process::other_process", "--ignored", "--nocapture"])
            .env(PART, part)
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Self(child)
    }

    /// With SIGKILL: the process doesn't get to say goodbye.
    pub(crate) fn kill(mut self) {
        self.0.kill().unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _already_dead = self.0.kill();
        self.0.wait().unwrap();
    }
}
