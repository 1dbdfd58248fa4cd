//! HTTP inside of a WebSocket, the other way round: `cargo run --example http_inside`.
//!
//! An agent that nobody can connect to opens a WebSocket and serves a site over it; whoever it has
//! connected to makes the requests. HTTP/2 inside lets them share the WebSocket, and HTTP/2 outside
//! would let agents share a connection.

use axum::{
    Router,
    extract::{Path, Request},
    response::{IntoResponse, Response},
    routing::{any, get},
};
use fastwebsockets_stream::{
    PayloadType, Transport, WebSocketStream,
    client::{Builder, Http2},
    server,
};
use futures_util::future::try_join_all;
use http_body_util::{BodyExt, Empty};
use hyper::{body::Bytes, client, server::conn::http2};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    service::TowerToHyperService,
};
use tokio::net::{TcpListener, TcpStream};

type Stream = WebSocketStream<Transport>;
type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

#[tokio::main]
async fn main() -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let router = Router::new().route("/agents", any(accept));
    tokio::spawn(async move { axum::serve(listener, router).await });

    let builder = Builder::new(format!("ws://{address}/agents"));
    let connection = Http2::handshake(TcpStream::connect(address).await?).await?;
    let (stream, _) = builder.http2(&connection).await?;
    serve_site(stream).await
}

/// What the agent does: any service of hyper, tower or axum, until the other side has enough.
async fn serve_site(stream: Stream) -> Result<()> {
    let page = async |Path(number): Path<u32>| format!("page {number} of the agent");
    let site = Router::new().route("/{number}", get(page));
    let http = http2::Builder::new(TokioExecutor::new());
    Ok(http.serve_connection(TokioIo::new(stream), TowerToHyperService::new(site)).await?)
}

/// What is done with an agent.
async fn visit(stream: Stream) -> Result<()> {
    let (sender, connection) =
        client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let pages = (1..=3).map(|number| {
        let mut sender = sender.clone();
        async move {
            let request = hyper::Request::get(format!("http://agent/{number}"));
            let response = sender.send_request(request.body(Empty::<Bytes>::new())?).await?;
            Result::Ok(response.into_body().collect().await?.to_bytes())
        }
    });
    for page in try_join_all(pages).await? {
        println!("{}", String::from_utf8_lossy(&page));
    }
    Ok(())
}

async fn accept(mut request: Request) -> Response {
    match server::upgrade(&mut request, PayloadType::Binary) {
        Err(refused) => refused.response(),
        Ok((response, upgrade)) => {
            tokio::spawn(async move { visit(upgrade.await?).await });
            response.into_response()
        }
    }
}
