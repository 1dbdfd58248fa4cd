//! Opening WebSockets, over either version of HTTP.

use crate::{
    BoxError,
    http::{Stream, Version},
};
use fastwebsockets_stream::{
    Windows,
    client::{Builder, Http2},
};
use http_body_util::{BodyExt, Empty};
use hyper::{Request, body::Bytes};
use std::{net::SocketAddr, sync::Arc};
use tokio::{net::TcpStream, sync::Semaphore, task::JoinSet};

/// WebSockets that are being opened or closed at a time, at most.
const AT_A_TIME: usize = 128;

pub(crate) struct Client {
    address: SocketAddr,
    builder: Builder,
    /// WebSockets over HTTP/2 share these.
    connections: Vec<Http2>,
}

impl Client {
    pub(crate) async fn connect(
        address: SocketAddr,
        connections: usize,
    ) -> Result<Arc<Self>, BoxError> {
        let mut client = Self {
            address,
            builder: Builder::new(format!("ws://{address}/")),
            connections: Vec::new(),
        };
        for _ in 0..connections {
            let connection = Http2::handshake_with(client.tcp().await?, Windows::MANY).await?;
            // Once there is an answer, both sides have all tasks of the connection.
            let page = Request::get(format!("http://{address}/page")).body(Empty::<Bytes>::new())?;
            connection.send_request(page).await?.into_body().collect().await?;
            client.connections.push(connection);
        }
        Ok(Arc::new(client))
    }

    async fn tcp(&self) -> Result<TcpStream, BoxError> {
        let tcp = TcpStream::connect(self.address).await?;
        tcp.set_nodelay(true)?;
        Ok(tcp)
    }

    /// Opens the WebSocket of this task.
    pub(crate) async fn open(&self, version: Version, task: usize) -> Result<Stream, BoxError> {
        let opened = match version {
            Version::Http1 => self.builder.http1(self.tcp().await?).await?,
            Version::Http2 => {
                self.builder.http2(&self.connections[task % self.connections.len()]).await?
            }
        };
        Ok(opened.0)
    }
}

/// Does the same for each task, some at a time.
pub(crate) async fn for_each<I, T, F>(
    tasks: impl IntoIterator<Item = I>,
    each: impl Fn(I) -> F,
) -> Result<Vec<T>, BoxError>
where
    T: Send + 'static,
    F: Future<Output = Result<T, BoxError>> + Send + 'static,
{
    let room = Arc::new(Semaphore::new(AT_A_TIME));
    let (mut running, mut done) = (JoinSet::new(), Vec::new());
    for task in tasks {
        let permit = Arc::clone(&room).acquire_owned().await?;
        let work = each(task);
        running.spawn(async move {
            let done = work.await;
            drop(permit);
            done
        });
        while let Some(ended) = running.try_join_next() {
            done.push(ended??);
        }
    }
    while let Some(ended) = running.join_next().await {
        done.push(ended??);
    }
    Ok(done)
}
