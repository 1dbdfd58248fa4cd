//! A server that echoes, for clients of all kinds: HTTP/1.1 and HTTP/2 on one port.
//!
//! `cargo run --features tls --example echo_server -- [--listen ADDR] [--tls [CERT KEY]]`
//!
//! `/echo` takes binary WebSockets, `/text` those of text, and `/` is a page for a person with a
//! browser, which opens sockets and shows what happened. `--tls` alone makes a certificate for
//! `localhost`; browsers speak HTTP/2 only over TLS. Every WebSocket is a line of the log.

use fastwebsockets_stream::{Config, PayloadType, client::rustls, server};
use http_body_util::Full;
use hyper::{Request, Response, StatusCode, Version, body::Bytes, header::CONTENT_TYPE};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use std::{error::Error, future::ready, io, path::PathBuf, sync::Arc};
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt, BufReader},
    net::TcpListener,
};
use tokio_rustls::TlsAcceptor;

type BoxError = Box<dyn Error + Send + Sync>;

const PAGE: &str = include_str!("echo_server.html");

struct Arguments {
    listen: String,
    tls: Option<Identity>,
}

/// Whose certificate the server shows.
enum Identity {
    SelfSigned,
    Files { certificate: PathBuf, key: PathBuf },
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let arguments = parse_arguments()?;
    let tls = arguments.tls.map(tls_acceptor).transpose()?;
    let listener = TcpListener::bind(&arguments.listen).await?;
    let scheme = if tls.is_some() { "https" } else { "http" };
    println!("listening on {scheme}://{}/", listener.local_addr()?);
    for connection in 1u64.. {
        let (tcp, _) = listener.accept().await?;
        tcp.set_nodelay(true)?;
        let tls = tls.clone();
        tokio::spawn(async move {
            match tls {
                None => serve(tcp, connection).await,
                Some(tls) => match tls.accept(tcp).await {
                    Ok(io) => serve(io, connection).await,
                    Err(error) => println!("connection {connection}: no TLS: {error}"),
                },
            }
        });
    }
    Ok(())
}

fn parse_arguments() -> Result<Arguments, BoxError> {
    use lexopt::prelude::*;
    let mut arguments = Arguments { listen: "127.0.0.1:8080".to_owned(), tls: None };
    let mut parser = lexopt::Parser::from_env();
    while let Some(argument) = parser.next()? {
        match argument {
            Long("listen") => arguments.listen = parser.value()?.string()?,
            Long("tls") => {
                let files: Vec<PathBuf> = match parser.values() {
                    Ok(files) => files.map(Into::into).collect(),
                    Err(_) => Vec::new(),
                };
                arguments.tls = Some(match <[PathBuf; 2]>::try_from(files) {
                    Ok([certificate, key]) => Identity::Files { certificate, key },
                    Err(files) if files.is_empty() => Identity::SelfSigned,
                    Err(_) => return Err("--tls takes a certificate and a key, or nothing".into()),
                });
            }
            other => return Err(other.unexpected().into()),
        }
    }
    Ok(arguments)
}

fn tls_acceptor(identity: Identity) -> Result<TlsAcceptor, BoxError> {
    let (certificates, key) = match identity {
        Identity::SelfSigned => {
            let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
            let made = rcgen::generate_simple_self_signed(names)?;
            let key = PrivateKeyDer::try_from(made.signing_key.serialize_der())?;
            (vec![made.cert.der().clone()], key)
        }
        Identity::Files { certificate, key } => {
            let certificates =
                CertificateDer::pem_file_iter(certificate)?.collect::<Result<_, _>>();
            (certificates?, PrivateKeyDer::from_pem_file(key)?)
        }
    };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(certificates, key)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

async fn serve<S>(io: S, connection: u64)
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let handle = move |mut request| ready(respond(&mut request, connection));
    if let Err(error) = server::serve_connection(io, handle).await {
        println!("connection {connection}: {error}");
    }
}

fn respond<B>(request: &mut Request<B>, connection: u64) -> Response<Full<Bytes>> {
    let protocol = request.extensions().get::<hyper::ext::Protocol>();
    let what = format!(
        "connection {connection}: {:?} {} {} :protocol={}",
        request.version(),
        request.method(),
        request.uri().path(),
        protocol.map_or("-", |protocol| protocol.as_str()),
    );
    let payload_type = match request.uri().path() {
        "/echo" => PayloadType::Binary,
        "/text" => PayloadType::Text,
        "/" => {
            println!("{what}: the page");
            return page();
        }
        _ => return status(StatusCode::NOT_FOUND),
    };
    let config = Config::new().payload_type(payload_type).half_close(true);
    // Any subprotocol will do for an echo; a client that offers `echo` gets it. A page can't see
    // which version of HTTP its WebSocket took: it offers a name for each, and gets the true one.
    let by_version = match request.version() {
        Version::HTTP_2 => "echo.h2",
        _ => "echo.http1.1",
    };
    let acceptor = server::Acceptor::new().config(config).subprotocols([by_version, "echo"]);
    match acceptor.accept(request) {
        Err(refused) => {
            println!("{what}: {refused}");
            refused.response()
        }
        Ok((response, upgrade)) => {
            tokio::spawn(async move {
                match echo(upgrade).await {
                    Ok(bytes) => println!("{what}: {bytes} bytes echoed"),
                    Err(error) => println!("{what}: {error}"),
                }
            });
            response.map(|_| Full::default())
        }
    }
}

async fn echo(upgrade: server::Upgrade) -> io::Result<u64> {
    let (reads, mut writes) = tokio::io::split(upgrade.await?);
    // A read is a write, and a write is a message: `copy` by itself takes 8 KiB at a time.
    let mut reads = BufReader::with_capacity(64 * 1024, reads);
    let bytes = tokio::io::copy_buf(&mut reads, &mut writes).await?;
    writes.shutdown().await?;
    Ok(bytes)
}

fn page() -> Response<Full<Bytes>> {
    let mut response = Response::new(PAGE.into());
    let html = hyper::header::HeaderValue::from_static("text/html; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, html);
    response
}

fn status(status: StatusCode) -> Response<Full<Bytes>> {
    let mut response = Response::default();
    *response.status_mut() = status;
    response
}
