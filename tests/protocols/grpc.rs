//! gRPC with tonic: the gRPC server at the WebSocket's server, and at its client.

use crate::{Stream, common::bytes, each_way};
use fastwebsockets_stream::Config;
use futures_util::{StreamExt, future::BoxFuture, stream};
use hyper::{
    Uri,
    http::{self, uri::PathAndQuery},
};
use hyper_util::rt::TokioIo;
use std::{
    convert::Infallible,
    future::ready,
    io,
    pin::Pin,
    task::{Context, Poll},
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tonic::{
    Code, Request, Response, Status, Streaming,
    body::Body,
    client, server,
    transport::{Channel, Endpoint, Server, server::Connected},
};
use tonic_prost::ProstCodec;
use tower::{Service, service_fn};

/// Of all messages the simplest: `google.protobuf.BytesValue`.
type Codec = ProstCodec<Vec<u8>, Vec<u8>>;

/// Answers what it is asked, one by one and in a stream; as it would be made of a `.proto` file.
#[derive(Clone)]
struct Echo;

impl server::NamedService for Echo {
    const NAME: &'static str = "tests.Echo";
}

impl Service<http::Request<Body>> for Echo {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        Box::pin(async move {
            let mut grpc = server::Grpc::new(Codec::default());
            Ok(match request.uri().path() {
                "/tests.Echo/One" => grpc.unary(service_fn(one), request).await,
                "/tests.Echo/Many" => grpc.streaming(service_fn(many), request).await,
                _ => Status::unimplemented("").into_http(),
            })
        })
    }
}

async fn one(request: Request<Vec<u8>>) -> Result<Response<Vec<u8>>, Status> {
    match request.into_inner() {
        empty if empty.is_empty() => Err(Status::invalid_argument("nothing")),
        message => Ok(Response::new(message)),
    }
}

async fn many(
    request: Request<Streaming<Vec<u8>>>,
) -> Result<Response<Streaming<Vec<u8>>>, Status> {
    Ok(Response::new(request.into_inner()))
}

/// The newtype that `serve_with_incoming` asks for.
struct Incoming(Stream);

impl Connected for Incoming {
    type ConnectInfo = ();

    fn connect_info(&self) {}
}

impl AsyncRead for Incoming {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for Incoming {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

/// Serves calls at one end, and gives a client for the other.
async fn grpc(one: Stream, other: Stream) -> client::Grpc<Channel> {
    let incoming = stream::iter([Ok::<_, io::Error>(Incoming(other))]);
    tokio::spawn(Server::builder().add_service(Echo).serve_with_incoming(incoming));
    client::Grpc::new(channel(one).await)
}

/// A channel that can't reconnect.
async fn channel(stream: Stream) -> Channel {
    let mut io = Some(TokioIo::new(stream));
    let connector = service_fn(move |_: Uri| {
        ready(io.take().ok_or(io::Error::from(io::ErrorKind::NotConnected)))
    });
    Endpoint::from_static("http://inside").connect_with_connector(connector).await.unwrap()
}

#[tokio::test]
async fn calls_and_their_errors() {
    each_way(Config::new(), async |one, other| {
        let client = grpc(one, other).await;
        let ask = async |message: Vec<u8>| {
            let mut client = client.clone();
            client.ready().await.unwrap();
            let path = PathAndQuery::from_static("/tests.Echo/One");
            client.unary(Request::new(message), path, Codec::default()).await
        };
        for len in [1, 1000, 3 << 20] {
            assert!(ask(bytes(len)).await.unwrap().into_inner() == bytes(len));
        }
        let error = ask(Vec::new()).await.unwrap_err();
        assert_eq!((error.code(), error.message()), (Code::InvalidArgument, "nothing"));
    })
    .await;
}

/// Each message is sent once the answer to the one before has come: nothing waits for more.
#[tokio::test]
async fn a_conversation_in_two_streams() {
    each_way(Config::new(), async |one, other| {
        let mut client = grpc(one, other).await;
        client.ready().await.unwrap();
        let (questions, asked) = tokio::sync::mpsc::channel::<Vec<u8>>(1);
        let asked = stream::unfold(asked, async |mut asked| Some((asked.recv().await?, asked)));
        let path = PathAndQuery::from_static("/tests.Echo/Many");
        let call = client.streaming(Request::new(asked), path, Codec::default());
        let mut answers = call.await.unwrap().into_inner();
        for number in 0..200 {
            questions.send(bytes(number * 100)).await.unwrap();
            assert!(answers.next().await.unwrap().unwrap() == bytes(number * 100));
        }
        drop(questions);
        assert!(answers.next().await.is_none());
    })
    .await;
}

#[tokio::test]
async fn streams_beside_each_other() {
    each_way(Config::new(), async |one, other| {
        let client = grpc(one, other).await;
        let calls = (0..10).map(|_| {
            let mut client = client.clone();
            async move {
                client.ready().await.unwrap();
                let messages = stream::iter((0..100).map(|number| bytes(number * 100)));
                let path = PathAndQuery::from_static("/tests.Echo/Many");
                let call = client.streaming(Request::new(messages), path, Codec::default());
                let answers = call.await.unwrap().into_inner();
                let answers: Vec<_> = answers.map(Result::unwrap).collect().await;
                assert!(
                    answers
                        .iter()
                        .enumerate()
                        .all(|(number, answer)| *answer == bytes(number * 100))
                );
                assert_eq!(answers.len(), 100);
            }
        });
        futures_util::future::join_all(calls).await;
    })
    .await;
}

#[tokio::test]
async fn calls_fail_once_the_other_end_has_gone() {
    each_way(Config::new(), async |one, other| {
        let mut client = client::Grpc::new(channel(one).await);
        client.ready().await.unwrap();
        drop(other);
        let path = PathAndQuery::from_static("/tests.Echo/One");
        let called = client.unary(Request::new(bytes(1)), path, Codec::default()).await;
        // Which of them is a matter of when tonic notices.
        let code = called.unwrap_err().code();
        assert!(matches!(code, Code::Unavailable | Code::Unknown), "{code:?}");
    })
    .await;
}
