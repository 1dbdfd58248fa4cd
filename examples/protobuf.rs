//! Protobuf messages over WebSockets: `cargo run --example protobuf`.
//!
//! A client sends readings, ends its direction, and gets a summary of them. Each message goes behind
//! its length, as on any byte stream; where the WebSocket's own messages begin and end plays no
//! part. The structs could as well be those that `prost-build` makes of a `.proto` file.

use axum::{
    Router,
    extract::Request,
    response::{IntoResponse, Response},
    routing::any,
};
use bytes::Bytes;
use fastwebsockets_stream::{Config, Transport, WebSocketStream, client::Builder, server};
use futures_util::{SinkExt, TryStreamExt};
use prost::Message;
use std::{error::Error, io};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::codec::{Framed, LengthDelimitedCodec};

#[derive(Clone, PartialEq, Message)]
struct Reading {
    #[prost(string, tag = "1")]
    place: String,
    #[prost(sint32, tag = "2")]
    degrees: i32,
}

#[derive(Clone, PartialEq, Message)]
struct Summary {
    #[prost(uint32, tag = "1")]
    readings: u32,
    #[prost(message, optional, tag = "2")]
    warmest: Option<Reading>,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let router = Router::new().route("/readings", any(accept));
    tokio::spawn(async move { axum::serve(listener, router).await });

    let builder = Builder::new(format!("ws://{address}/readings"));
    let (stream, _) = builder.http1(TcpStream::connect(address).await?).await?;
    let mut messages = Framed::new(stream, LengthDelimitedCodec::new());
    for number in 0..1000 {
        let degrees = number * 7 % 60 - 20;
        let reading = Reading { place: format!("sensor {number}"), degrees };
        messages.feed(Bytes::from(reading.encode_to_vec())).await?;
    }
    // As a TCP client would: our direction ends, and the answer is still to come.
    SinkExt::<Bytes>::close(&mut messages).await?;
    let summary = messages.try_next().await?.ok_or("no summary")?;
    println!("{:?}", Summary::decode(summary)?);
    Ok(())
}

async fn accept(mut request: Request) -> Response {
    let config = Config::new().half_close(true);
    match server::upgrade(&mut request, config) {
        Err(refused) => refused.response(),
        Ok((response, upgrade)) => {
            tokio::spawn(async move { summarize(upgrade.await?).await });
            response.into_response()
        }
    }
}

async fn summarize(stream: WebSocketStream<Transport>) -> io::Result<()> {
    let mut messages = Framed::new(stream, LengthDelimitedCodec::new());
    let mut summary = Summary::default();
    while let Some(message) = messages.try_next().await? {
        let reading = Reading::decode(message)?;
        summary.readings += 1;
        if summary.warmest.as_ref().is_none_or(|warmest| warmest.degrees < reading.degrees) {
            summary.warmest = Some(reading);
        }
    }
    messages.send(Bytes::from(summary.encode_to_vec())).await?;
    SinkExt::<Bytes>::close(&mut messages).await
}
