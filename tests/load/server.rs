//! The server's process: echoes, and says how it is when it is asked.

use crate::{heap, http};
use fastwebsockets_stream::{
    Config, Windows,
    server::{Acceptor, Upgrade},
};
use hyper_util::{rt::TokioExecutor, server::conn::auto};
use std::{
    io::{self, BufRead, Write},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    runtime::Runtime,
};

/// Bytes that each WebSocket of this server owns to read into.
pub(crate) const BUFFER: usize = 1024;

/// WebSockets on one HTTP/2 connection, at most.
const MAX_STREAMS: u32 = 10_000;

#[derive(Default)]
struct Counts {
    open: AtomicUsize,
    /// Ended by the client without a Close.
    cut: AtomicUsize,
    errors: AtomicUsize,
}

/// Prints the address, then a line of figures for each line that comes, until the input ends.
pub(crate) fn run(runtime: &Runtime) -> io::Result<()> {
    let counts = Arc::new(Counts::default());
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0"))?;
    println!("{}", listener.local_addr()?);
    runtime.spawn(accept(listener, Arc::clone(&counts)));
    for line in io::stdin().lock().lines() {
        line?;
        let figures = serde_json::json!({
            "tasks": runtime.metrics().num_alive_tasks(),
            "heap": heap::live(),
            "open": counts.open.load(Relaxed),
            "cut": counts.cut.load(Relaxed),
            "errors": counts.errors.load(Relaxed),
        });
        println!("{figures}");
        io::stdout().flush()?;
    }
    Ok(())
}

async fn accept(listener: TcpListener, counts: Arc<Counts>) {
    let acceptor = Arc::new(Acceptor::new().config(Config::new()));
    loop {
        let (tcp, _) = listener.accept().await.expect("a connection");
        tcp.set_nodelay(true).expect("a TCP socket");
        let mut builder = auto::Builder::new(TokioExecutor::new());
        Windows::MANY.apply_to_server(&mut builder);
        builder.http2().max_concurrent_streams(MAX_STREAMS);
        let counts = Arc::clone(&counts);
        let serve = move |upgrade| serve(upgrade, Arc::clone(&counts));
        tokio::spawn(http::serve_with(builder, tcp, Arc::clone(&acceptor), serve));
    }
}

async fn serve(upgrade: Upgrade, counts: Arc<Counts>) {
    counts.open.fetch_add(1, Relaxed);
    match echo(upgrade).await {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            counts.cut.fetch_add(1, Relaxed);
        }
        Err(error) => {
            eprintln!("server: {error}");
            counts.errors.fetch_add(1, Relaxed);
        }
    }
    counts.open.fetch_sub(1, Relaxed);
}

/// Sends back what comes. It needs less memory than `tokio::io::copy`, so that a connection's own
/// can be told.
async fn echo(upgrade: Upgrade) -> io::Result<()> {
    let mut stream = upgrade.await?;
    let mut buffer = [0; BUFFER];
    loop {
        let n = stream.read(&mut buffer).await?;
        if n == 0 {
            return stream.shutdown().await;
        }
        stream.write_all(&buffer[..n]).await?;
        stream.flush().await?;
    }
}
