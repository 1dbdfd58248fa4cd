//! The transports, each with its handshake done.

#[cfg(feature = "openssl")]
mod openssl;

use fastwebsockets_stream::fastwebsockets::Role;
use std::sync::{Arc, OnceLock};
use tokio::{
    io::{AsyncRead, AsyncWrite, BufStream, DuplexStream, duplex},
    join,
};
use tokio_rustls::{
    TlsAcceptor, TlsConnector,
    rustls::{
        ClientConfig, RootCertStore, ServerConfig, SupportedProtocolVersion,
        crypto::ring::default_provider,
        pki_types::{PrivateKeyDer, ServerName},
        version,
    },
};

/// The name in the certificate.
const NAME: &str = "localhost";

/// What is between the stream and the line.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Library {
    Rustls(Tls),
    #[cfg(feature = "openssl")]
    OpenSsl(Tls),
    #[cfg(feature = "openssl")]
    /// OpenSSL in a wrapper that says that it takes vectored writes.
    OpenSslVectored,
    #[cfg(feature = "openssl")]
    /// OpenSSL with a context in which a write is `Ready` only once all of it has gone: the default of
    /// `SslContext`. With `SslConnector` and `SslAcceptor` a write is `Ready` as soon as its first
    /// record has gone, if it hasn't waited.
    OpenSslWhole,
    /// Not TLS: tokio's buffers.
    BufStream,
}

/// The version of TLS.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Tls {
    V12,
    V13,
}

pub(crate) const RUSTLS: &[Library] = &[Library::Rustls(Tls::V12), Library::Rustls(Tls::V13)];

#[cfg(feature = "openssl")]
pub(crate) const OPENSSL: &[Library] = &[Library::OpenSsl(Tls::V12), Library::OpenSsl(Tls::V13)];

/// It waits for a flush with what fits into it.
pub(crate) const BUF_STREAM: &[Library] = &[Library::BufStream];

/// Those that send on by themselves what they have taken, as soon as the line takes it.
#[cfg(not(feature = "openssl"))]
pub(crate) const TLS_LIBRARIES: &[Library] = RUSTLS;

/// Those that send on by themselves what they have taken, as soon as the line takes it.
#[cfg(feature = "openssl")]
pub(crate) const TLS_LIBRARIES: &[Library] = &[
    Library::Rustls(Tls::V12),
    Library::Rustls(Tls::V13),
    Library::OpenSsl(Tls::V12),
    Library::OpenSsl(Tls::V13),
    Library::OpenSslVectored,
    Library::OpenSslWhole,
];

pub(crate) fn libraries() -> Vec<Library> {
    [TLS_LIBRARIES, BUF_STREAM].concat()
}

pub(crate) type Transport = Box<dyn ReadWrite>;

pub(crate) trait ReadWrite: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> ReadWrite for T {}

impl Library {
    /// Both ends of a line that holds this many bytes in each direction; the first is that of `role`.
    pub(crate) async fn connect(self, role: Role, line: usize) -> (Transport, Transport) {
        let (near, far) = duplex(line);
        let (client, server): (Transport, Transport) = match self {
            Self::Rustls(tls) => {
                let (client, server) = rustls(near, far, tls).await;
                (client, server)
            }
            #[cfg(feature = "openssl")]
            Self::OpenSsl(tls) => openssl::connect(near, far, tls, true).await,
            #[cfg(feature = "openssl")]
            Self::OpenSslVectored => openssl::connect_vectored(near, far).await,
            #[cfg(feature = "openssl")]
            Self::OpenSslWhole => openssl::connect(near, far, Tls::V13, false).await,
            Self::BufStream => (Box::new(BufStream::new(near)), Box::new(BufStream::new(far))),
        };
        match role {
            Role::Client => (client, server),
            Role::Server => (server, client),
        }
    }
}

/// A certificate for [`NAME`] that nobody has signed but itself, and its key, both DER.
fn certificate() -> &'static (Vec<u8>, Vec<u8>) {
    static CERTIFICATE: OnceLock<(Vec<u8>, Vec<u8>)> = OnceLock::new();
    CERTIFICATE.get_or_init(|| {
        let made = rcgen::generate_simple_self_signed([NAME.to_owned()]).unwrap();
        (made.cert.der().to_vec(), made.signing_key.serialize_der())
    })
}

async fn rustls(client: DuplexStream, server: DuplexStream, tls: Tls) -> (Transport, Transport) {
    let version: &SupportedProtocolVersion = match tls {
        Tls::V12 => &version::TLS12,
        Tls::V13 => &version::TLS13,
    };
    let (certificate, key) = certificate();
    let provider = Arc::new(default_provider());
    let mut roots = RootCertStore::empty();
    roots.add(certificate.clone().into()).unwrap();
    let connector = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[version])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let acceptor = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[version])
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.clone().into()],
            PrivateKeyDer::try_from(key.clone()).unwrap(),
        )
        .unwrap();
    let name = ServerName::try_from(NAME).unwrap();
    let (client, server) = join!(
        TlsConnector::from(Arc::new(connector)).connect(name, client),
        TlsAcceptor::from(Arc::new(acceptor)).accept(server),
    );
    (Box::new(client.unwrap()), Box::new(server.unwrap()))
}
