//! The bytes of TCP connections on their way into WebSockets and out of them.

use fastwebsockets_stream::{Stats, Transport, WebSocketStream};
use std::{fmt::Display, future::Future, time::Duration};
use tokio::{io, net::TcpStream, time::Instant, time::timeout};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Bytes that are read at a time.
const BUFFER: usize = 256 * 1024;

/// All that are open.
#[derive(Clone, Default)]
pub(crate) struct Relays {
    stop: CancellationToken,
    running: TaskTracker,
}

impl Relays {
    /// Joins the two once the WebSocket is open, until both directions have ended.
    pub(crate) async fn run<E: Display>(
        &self,
        name: String,
        mut tcp: TcpStream,
        opening: impl Future<Output = Result<WebSocketStream<Transport>, E>>,
    ) {
        let _running = self.running.token();
        let began = Instant::now();
        let mut stream = match opening.await {
            Ok(stream) => stream,
            Err(error) => {
                let _reset = tcp.set_zero_linger();
                return println!("{name}: {error}");
            }
        };
        let _sends_at_once = tcp.set_nodelay(true);
        let copying = io::copy_bidirectional_with_sizes(&mut tcp, &mut stream, BUFFER, BUFFER);
        let broken = tokio::select! {
            copied = copying => copied.err().map(|error| (1011, error.to_string())),
            () = self.stop.cancelled() => Some((1012, "stopped".to_owned())),
        };
        if let Some((code, _)) = broken {
            // Nobody is to take what has come so far for all there is.
            let _reset = tcp.set_zero_linger();
            let _closed = timeout(Duration::from_secs(2), stream.close(code, "")).await;
        }
        let Stats { bytes_written: sent, bytes_read: received, .. } = stream.stats();
        let why = broken.map_or("done".to_owned(), |(_, why)| why);
        println!("{name}: {sent} bytes sent, {received} received, {:.3?}, {why}", began.elapsed());
    }

    /// Ends them.
    pub(crate) async fn stop(&self) {
        self.stop.cancel();
        self.running.close();
        self.running.wait().await;
    }
}
