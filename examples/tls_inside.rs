//! TLS inside of a WebSocket: `cargo run --features tls --example tls_inside`.
//!
//! The two ends trust nobody between them, not even the proxy that ends the TLS of `wss`. It sees a
//! WebSocket, its path and how much goes over it; not what, nor whether it is complete: TLS notices
//! a WebSocket that was closed before its time.

use axum::{
    Router,
    extract::{Request, State},
    response::{IntoResponse, Response},
    routing::any,
};
use fastwebsockets_stream::{
    Config,
    client::{
        Builder,
        rustls::{
            ClientConfig, RootCertStore, ServerConfig, crypto::ring::default_provider,
            pki_types::PrivateKeyDer,
        },
    },
    server,
};
use std::sync::Arc;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::{TlsAcceptor, TlsConnector};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

#[tokio::main]
async fn main() -> Result<()> {
    let (acceptor, connector) = tls("the.other.end")?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let router = Router::new().route("/private", any(accept)).with_state(acceptor);
    tokio::spawn(async move { axum::serve(listener, router).await });

    let builder = Builder::new(format!("ws://{address}/private"));
    let (stream, _) = builder.http1(TcpStream::connect(address).await?).await?;
    let mut tls = connector.connect("the.other.end".try_into()?, stream).await?;
    tls.write_all(b"between you and me").await?;
    // Of TLS first, then of the WebSocket.
    tls.shutdown().await?;
    let mut answer = String::new();
    tls.read_to_string(&mut answer).await?;
    println!("{answer}");
    Ok(())
}

async fn accept(State(acceptor): State<TlsAcceptor>, mut request: Request) -> Response {
    let config = Config::new().half_close(true);
    match server::upgrade(&mut request, config) {
        Err(refused) => refused.response(),
        Ok((response, upgrade)) => {
            tokio::spawn(async move {
                let mut tls = acceptor.accept(upgrade.await?).await?;
                let mut secret = String::new();
                tls.read_to_string(&mut secret).await?;
                tls.write_all(secret.to_uppercase().as_bytes()).await?;
                tls.shutdown().await
            });
            response.into_response()
        }
    }
}

/// For a server with a certificate of its own, and for a client that trusts it and no other.
fn tls(name: &str) -> Result<(TlsAcceptor, TlsConnector)> {
    let made = rcgen::generate_simple_self_signed([name.to_owned()])?;
    let certificate = made.cert.der().clone();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der())?;
    let mut roots = RootCertStore::empty();
    roots.add(certificate.clone())?;
    let provider = Arc::new(default_provider());
    let server = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)?;
    let client = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok((Arc::new(server).into(), Arc::new(client).into()))
}
