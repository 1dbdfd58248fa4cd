//! Where WebSockets come in, and TCP connections go out.

use crate::{Common, TARGET};
use fastwebsockets_stream::server;
use http_body_util::Full;
use hyper::{Request, Response, StatusCode, body::Bytes, header::AUTHORIZATION};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use std::{
    error::Error, future::Future, io, net::SocketAddr, path::PathBuf, sync::Arc, time::Duration,
};
use subtle::ConstantTimeEq;
use tokio::{net::TcpStream, time::timeout};
use tokio_rustls::{TlsAcceptor, rustls};

type Answer = Response<Full<Bytes>>;

#[derive(clap::Args)]
pub(crate) struct Server {
    #[command(flatten)]
    pub(crate) common: Common,
    /// HOST:PORT that clients may connect to
    #[arg(long, required = true, num_args = 1..)]
    allow: Vec<String>,
    /// Certificates and key, in PEM
    #[arg(long, num_args = 2, value_names = ["CHAIN", "KEY"], action = clap::ArgAction::Set)]
    tls: Vec<PathBuf>,
    #[arg(skip)]
    tls_acceptor: Option<TlsAcceptor>,
}

impl Server {
    pub(crate) fn with_tls(mut self) -> Result<Self, Box<dyn Error>> {
        if let [chain, key] = &self.tls[..] {
            let chain = CertificateDer::pem_file_iter(chain)?.collect::<Result<_, _>>()?;
            let mut config = rustls::ServerConfig::builder()
                .with_no_client_auth()
                .with_single_cert(chain, PrivateKeyDer::from_pem_file(key)?)?;
            config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
            self.tls_acceptor = Some(TlsAcceptor::from(Arc::new(config)));
        }
        Ok(self)
    }

    /// Serves one connection of a client.
    pub(crate) async fn serve(self: Arc<Self>, tcp: TcpStream, peer: SocketAddr) {
        let answer = |request| {
            let server = Arc::clone(&self);
            async move { server.open(request, peer).await.unwrap_or_else(|refusal| refusal) }
        };
        let _sends_at_once = tcp.set_nodelay(true);
        let served = match &self.tls_acceptor {
            None => server::serve_connection(tcp, answer).await,
            Some(tls) => match in_time(tls.accept(tcp)).await {
                Ok(io) => server::serve_connection(io, answer).await,
                Err(error) => Err(error),
            },
        };
        if let Err(error) = served {
            println!("{peer}: {error}");
        }
    }

    /// Answers a request: opens a WebSocket, or says why not.
    async fn open<B>(&self, mut request: Request<B>, peer: SocketAddr) -> Result<Answer, Answer> {
        let refuse = |status, why: String| {
            println!("{peer}: {status}: {why}");
            let mut answer = Answer::new(why.into());
            *answer.status_mut() = status;
            answer
        };
        if !self.is_authorized(&request) {
            return Err(refuse(StatusCode::UNAUTHORIZED, "a wrong token, or none".to_owned()));
        }
        let target = request.headers().get(TARGET).and_then(|target| target.to_str().ok());
        let allowed = self.allow.iter().find(|allowed| Some(allowed.as_str()) == target);
        let target =
            allowed.ok_or_else(|| refuse(StatusCode::FORBIDDEN, format!("to {target:?}?")))?;
        let (response, upgrade) = server::upgrade(&mut request, self.common.config())
            .map_err(|error| refuse(error.status(), error.to_string()))?;
        let connected = in_time(TcpStream::connect(target)).await;
        let tcp = connected.map_err(|error| refuse(StatusCode::BAD_GATEWAY, error.to_string()))?;
        let (relays, name) = (self.common.relays.clone(), format!("{peer} to {target}"));
        tokio::spawn(async move { relays.run(name, tcp, upgrade).await });
        Ok(response.map(|_| Full::default()))
    }

    /// Compares in a time that tells nothing of the token but its length.
    fn is_authorized<B>(&self, request: &Request<B>) -> bool {
        let Some(token) = &self.common.token else { return true };
        let given = request.headers().get(AUTHORIZATION);
        let expected = format!("Bearer {token}");
        given.is_some_and(|given| given.as_bytes().ct_eq(expected.as_bytes()).into())
    }
}

/// For a client's TLS, and a target's answer.
async fn in_time<T>(future: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    timeout(Duration::from_secs(10), future).await?
}
