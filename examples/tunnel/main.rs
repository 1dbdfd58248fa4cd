//! TCP over WebSockets: to services that only a web server can reach, through whatever lets HTTP pass.
//!
//! ```console
//! tunnel server --listen 0.0.0.0:443 --tls chain.pem key.pem --allow 127.0.0.1:22
//! tunnel client --listen 127.0.0.1:2222 --via wss://example.com/ --to 127.0.0.1:22 --http2
//! ```
//!
//! Every TCP connection to the client becomes one of the server's, by a WebSocket between them. A
//! direction that ends at one side ends at the other. What breaks is reset at both, so that it never
//! looks complete; so is everything at Ctrl-C.

mod client;
mod relays;
mod server;

use clap::{Parser, builder::NonEmptyStringValueParser as NonEmpty};
use fastwebsockets_stream::Config;
use relays::Relays;
use std::{error::Error, future::Future, io, net::SocketAddr, pin::pin, sync::Arc, time::Duration};
use tokio::net::{TcpListener, TcpStream};

/// The header of a request that says where to. The token is in `authorization`.
const TARGET: &str = "tunnel-target";

#[derive(Parser)]
#[command(about = "TCP over WebSockets")]
enum Role {
    /// Takes WebSockets, and makes TCP connections
    Server(server::Server),
    /// Takes TCP connections, and opens WebSockets
    Client(client::Client),
}

#[derive(clap::Args)]
struct Common {
    /// Address to take connections at
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: String,
    /// The secret that the server asks clients for
    #[arg(long, env = "TUNNEL_TOKEN", hide_env_values = true, value_parser = NonEmpty::new())]
    token: Option<String>,
    /// Don't mask. For both sides, where only trusted programs see the connection
    #[arg(long)]
    no_masking: bool,
    #[arg(skip)]
    relays: Relays,
}

impl Common {
    fn config(&self) -> Config {
        let half_minute = Duration::from_secs(30);
        let config = Config::new().half_close(true).strict_close(true);
        config.keep_alive(half_minute, half_minute).no_masking(self.no_masking)
    }

    /// Takes connections until Ctrl-C.
    async fn accept<F>(&self, serve: impl Fn(TcpStream, SocketAddr) -> F) -> io::Result<()>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind(&self.listen).await?;
        println!("listening on {}", listener.local_addr()?);
        let mut stop = pin!(tokio::signal::ctrl_c());
        loop {
            tokio::select! {
                accepted = listener.accept() => match accepted {
                    Ok((tcp, peer)) => drop(tokio::spawn(serve(tcp, peer))),
                    // Too many open files, for one. That passes.
                    Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
                },
                stopped = &mut stop => break stopped?,
            }
        }
        drop(listener);
        self.relays.stop().await;
        Ok(())
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    match Role::parse() {
        Role::Server(server) => {
            let server = Arc::new(server.with_tls()?);
            Ok(server.common.accept(|tcp, peer| Arc::clone(&server).serve(tcp, peer)).await?)
        }
        Role::Client(client) => {
            let client = Arc::new(client);
            Ok(client.common.accept(|tcp, peer| Arc::clone(&client).serve(tcp, peer)).await?)
        }
    }
}
