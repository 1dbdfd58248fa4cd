//! Where TCP connections come in, and WebSockets go out.

use crate::{Common, TARGET};
use fastwebsockets_stream::client::{Builder, Http2Pool};
use std::{net::SocketAddr, num::NonZero, sync::Arc, sync::OnceLock};
use tokio::net::TcpStream;

#[derive(clap::Args)]
pub(crate) struct Client {
    #[command(flatten)]
    pub(crate) common: Common,
    /// URL of the server, ws or wss
    #[arg(long)]
    via: String,
    /// HOST:PORT that the server is to connect to
    #[arg(long)]
    to: String,
    /// Share connections of HTTP/2
    #[arg(long)]
    http2: bool,
    /// How many of them
    #[arg(long, default_value = "1", requires = "http2")]
    connections: NonZero<usize>,
    #[arg(skip)]
    pool: OnceLock<Box<Http2Pool>>,
}

impl Client {
    fn builder(&self) -> Builder {
        let open = Builder::new(&*self.via).config(self.common.config()).header(TARGET, &*self.to);
        match &self.common.token {
            Some(token) => open.header("authorization", format!("Bearer {token}")),
            None => open,
        }
    }

    /// Carries a connection to the target.
    pub(crate) async fn serve(self: Arc<Self>, tcp: TcpStream, peer: SocketAddr) {
        let opening = async {
            let opened = if self.http2 {
                let pool = || Http2Pool::new(self.builder(), self.connections.get()).into();
                self.pool.get_or_init(pool).open().await
            } else {
                self.builder().connect().await
            };
            opened.map(|(stream, _response)| stream)
        };
        self.common.relays.run(format!("{peer} to {}", self.to), tcp, opening).await;
    }
}
