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
        // Until the end, nobody is to take what has come for all there is, however this program ends.
        let _reset = tcp.set_zero_linger();
        let _sends_at_once = tcp.set_nodelay(true);
        let mut stream = match self.stop.run_until_cancelled(opening).await {
            Some(Ok(stream)) => stream,
            Some(Err(error)) => return println!("{name}: {error}"),
            None => return println!("{name}: stopped"),
        };
        let copying = io::copy_bidirectional_with_sizes(&mut tcp, &mut stream, BUFFER, BUFFER);
        let broken = match self.stop.run_until_cancelled(copying).await {
            Some(copied) => copied.err().map(|error| (1011, error.to_string())),
            None => Some((1012, "stopped".to_owned())),
        };
        if let Some((code, _)) = broken {
            let _closed = timeout(Duration::from_secs(2), stream.close(code, "")).await;
        } else {
            #[allow(deprecated, reason = "None, the system's default, blocks nothing")]
            let _no_reset = tcp.set_linger(None);
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
