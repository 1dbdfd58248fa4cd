//! gRPC over WebSockets, in both directions: `cargo run --example grpc`.
//!
//! On `/calls` the WebSocket's server is the gRPC server, as usual. On `/agents` it is the other way
//! round: whoever nobody can connect to, because it is behind a firewall, opens a WebSocket and
//! answers the calls that come over it. The service is that of `tonic-health`; any other that
//! `tonic-prost-build` makes of a `.proto` file goes in its place.

use axum::{
    Router,
    extract::Request,
    response::{IntoResponse, Response},
    routing::any,
};
use fastwebsockets_stream::{
    PayloadType, Transport, WebSocketStream,
    client::{Builder, Http2},
    server,
};
use hyper::{Uri, server::conn::http2};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    service::TowerToHyperService,
};
use std::{future::Future, future::ready, io};
use tokio::net::{TcpListener, TcpStream};
use tonic::{
    service::Routes,
    transport::{Channel, Endpoint},
};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};

type Stream = WebSocketStream<Transport>;
type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// Answers calls until the other side ends the stream.
///
/// tonic's `Server::serve_with_incoming` would do as well, with a newtype around the stream that
/// implements tonic's trait `Connected`.
async fn answer_calls(stream: Stream) -> Result<()> {
    let (_reporter, health) = tonic_health::server::health_reporter();
    let service = TowerToHyperService::new(Routes::new(health));
    let http = http2::Builder::new(TokioExecutor::new());
    Ok(http.serve_connection(TokioIo::new(stream), service).await?)
}

async fn make_calls(stream: Stream) -> Result<()> {
    let mut client = HealthClient::new(channel(stream).await?);
    let answer = client.check(HealthCheckRequest::default()).await?;
    println!("{:?}", answer.into_inner().status());
    Ok(())
}

/// A channel that makes its calls over this stream. It can't reconnect.
async fn channel(stream: Stream) -> Result<Channel> {
    let mut io = Some(TokioIo::new(stream));
    let connector = tower::service_fn(move |_: Uri| {
        ready(io.take().ok_or(io::Error::from(io::ErrorKind::NotConnected)))
    });
    Ok(Endpoint::from_static("http://websocket").connect_with_connector(connector).await?)
}

#[tokio::main]
async fn main() -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let router = Router::new()
        .route("/calls", any(async |request| accept(request, answer_calls)))
        .route("/agents", any(async |request| accept(request, make_calls)));
    tokio::spawn(async move { axum::serve(listener, router).await });

    let connection = Http2::handshake(TcpStream::connect(address).await?).await?;
    let open = async |path| -> Result<Stream> {
        let builder = Builder::new(format!("ws://{address}{path}"));
        Ok(builder.http2(&connection).await?.0)
    };
    make_calls(open("/calls").await?).await?;
    answer_calls(open("/agents").await?).await
}

fn accept<F>(mut request: Request, serve: fn(Stream) -> F) -> Response
where
    F: Future<Output = Result<()>> + Send + 'static,
{
    match server::upgrade(&mut request, PayloadType::Binary) {
        Err(refused) => refused.response(),
        Ok((response, upgrade)) => {
            tokio::spawn(async move { serve(upgrade.await?).await });
            response.into_response()
        }
    }
}
