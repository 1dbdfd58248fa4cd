//! What Autobahn's `wstest` tests: echoes whole messages, as a server and as a client.
//!
//! - `autobahn_agent server`: listens on a free port of loopback, for both versions of HTTP.
//! - `autobahn_agent client [--http2] ADDRESS NAME`: runs all cases of the fuzzing server at
//!   ADDRESS (`127.0.0.1:9001`), which has them in its report under NAME.
//!
//! `tests/autobahn/run` starts both sides.

mod messages;
mod tap;

use fastwebsockets_stream::{
    Transport, WebSocketStream, Windows,
    client::{Builder, Http2},
    server::{self, Acceptor},
};
use hyper::service::service_fn;
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
};
use messages::Messages;
use std::{convert::Infallible, error::Error, future::ready, io, time::Duration};
use tokio::{
    net::{TcpListener, TcpStream},
    time::timeout,
};

type BoxError = Box<dyn Error + Send + Sync>;

/// How long a case may take. `wstest` gives up on each of them earlier.
const CASE: Duration = Duration::from_secs(120);

enum Mode {
    Server,
    Client { http2: bool, address: String, name: String },
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    match parse_arguments()? {
        Mode::Server => serve().await,
        Mode::Client { http2, address, name } => {
            Client::connect(http2, address).await?.run_cases(&name).await
        }
    }
}

fn parse_arguments() -> Result<Mode, BoxError> {
    use lexopt::prelude::*;
    let (mut words, mut http2) = (Vec::new(), false);
    let mut parser = lexopt::Parser::from_env();
    while let Some(argument) = parser.next()? {
        match argument {
            Long("http2") => http2 = true,
            Value(value) => words.push(value.string()?),
            other => return Err(other.unexpected().into()),
        }
    }
    match <[String; 3]>::try_from(words) {
        Ok([mode, address, name]) if mode == "client" => Ok(Mode::Client { http2, address, name }),
        Err(words) if words == ["server"] && !http2 => Ok(Mode::Server),
        _ => Err("server, or client [--http2] ADDRESS NAME".into()),
    }
}

async fn serve() -> Result<(), BoxError> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("listening on {}", listener.local_addr()?);
    loop {
        let (tcp, _) = listener.accept().await?;
        tcp.set_nodelay(true)?;
        tokio::spawn(async move {
            let mut http = auto::Builder::new(TokioExecutor::new());
            Windows::default().apply_to_server(&mut http);
            let service = service_fn(|mut request| {
                ready(Ok::<_, Infallible>(match Acceptor::new().accept(&mut request) {
                    Err(refused) => refused.response(),
                    Ok((response, upgrade)) => {
                        tokio::spawn(serve_websocket(upgrade));
                        response
                    }
                }))
            });
            if let Err(error) =
                http.serve_connection_with_upgrades(TokioIo::new(tcp), service).await
            {
                println!("connection: {error:?}");
            }
        });
    }
}

/// Leaves one line in the log.
async fn serve_websocket(upgrade: server::Upgrade) {
    let version = upgrade.version();
    let outcome = async { echo(upgrade.await?).await };
    println!("{version:?}: {}", describe(timeout(CASE, outcome).await));
}

/// Echoes until the end, which is never an error of its own: Autobahn judges it from outside.
async fn echo(stream: WebSocketStream<Transport>) -> io::Result<String> {
    let mut messages = Messages::new(stream).await?;
    let echoed = messages.echo().await;
    let ended = messages.end().await;
    Ok(format!("{echoed:?} messages, ended {ended:?}"))
}

fn describe(outcome: Result<io::Result<String>, tokio::time::error::Elapsed>) -> String {
    match outcome {
        Ok(Ok(what)) => what,
        Ok(Err(error)) => error.to_string(),
        Err(elapsed) => elapsed.to_string(),
    }
}

/// A client of `wstest -m fuzzingserver`.
struct Client {
    address: String,
    /// The connection that all WebSockets share; over HTTP/1.1 each has its own.
    http2: Option<Http2>,
}

impl Client {
    async fn connect(http2: bool, address: String) -> Result<Self, BoxError> {
        let http2 = match http2 {
            true => Some(Http2::handshake(connect(&address).await?).await?),
            false => None,
        };
        Ok(Self { address, http2 })
    }

    async fn open(&self, path: &str) -> Result<WebSocketStream<Transport>, BoxError> {
        let builder = Builder::new(format!("ws://{}{path}", self.address));
        let (stream, _response) = match &self.http2 {
            Some(connection) => builder.http2(connection).await?,
            None => builder.http1(connect(&self.address).await?).await?,
        };
        Ok(stream)
    }

    async fn run_cases(&self, name: &str) -> Result<(), BoxError> {
        let mut answer = Messages::new(self.open("/getCaseCount").await?).await?;
        let count = answer.next().await?.ok_or("no count of cases")?;
        let count: usize = std::str::from_utf8(&count)?.parse()?;
        answer.end().await?;
        for case in 1..=count {
            let stream = self.open(&format!("/runCase?case={case}&agent={name}")).await?;
            println!("case {case}: {}", describe(timeout(CASE, echo(stream)).await));
        }
        let done = Messages::new(self.open(&format!("/updateReports?agent={name}")).await?).await?;
        done.end().await?;
        println!("{count} cases");
        Ok(())
    }
}

async fn connect(address: &str) -> io::Result<TcpStream> {
    let tcp = TcpStream::connect(address).await?;
    tcp.set_nodelay(true)?;
    Ok(tcp)
}
