//! WebSockets as byte streams in an axum router, over HTTP/1.1 and HTTP/2:
//! `cargo run --example axum`, then open `ws://127.0.0.1:8080/echo`.
//!
//! A route for WebSockets is one for any method: over HTTP/2 they come by CONNECT.

use axum::{
    Router,
    extract::Request,
    response::{IntoResponse, Response},
    routing::{any, get},
};
use fastwebsockets_stream::{Config, server};
use tokio::{io::AsyncWriteExt, net::TcpListener};

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:8080").await?;
    println!("listening on http://{}/", listener.local_addr()?);
    axum::serve(listener, router()).await
}

/// Ordinary pages and WebSockets side by side.
pub fn router() -> Router {
    Router::new().route("/", get(async || "an ordinary page")).route("/echo", any(echo))
}

async fn echo(mut request: Request) -> Response {
    let config = Config::new().half_close(true);
    match server::upgrade(&mut request, config) {
        Err(refused) => refused.response(),
        Ok((response, upgrade)) => {
            tokio::spawn(async move {
                let (mut reads, mut writes) = tokio::io::split(upgrade.await?);
                tokio::io::copy(&mut reads, &mut writes).await?;
                writes.shutdown().await
            });
            response.into_response()
        }
    }
}
