//! TLS with rustls; with OpenSSL too where that is to be had. The certificate is made once.

#[cfg(feature = "openssl")]
pub(super) mod openssl;

use super::{Boxed, tasks};
use std::{
    future::{Future, poll_fn},
    pin::{Pin, pin},
    sync::{Arc, LazyLock},
    task::Poll,
};
use tokio::io::{AsyncRead, ReadBuf};
use tokio_rustls::{
    TlsAcceptor, TlsConnector,
    rustls::{
        ClientConfig, RootCertStore, ServerConfig, SupportedProtocolVersion,
        crypto::ring::default_provider,
        pki_types::{CertificateDer, PrivateKeyDer, ServerName},
        version::{TLS12, TLS13},
    },
};

const NAME: &str = "inside";

struct Certificate {
    certificate: CertificateDer<'static>,
    key: Vec<u8>,
}

static CERTIFICATE: LazyLock<Certificate> = LazyLock::new(|| {
    let made = rcgen::generate_simple_self_signed([NAME.to_owned()]).unwrap();
    Certificate { certificate: made.cert.der().clone(), key: made.signing_key.serialize_der() }
});

#[derive(Clone, Copy)]
pub(super) enum Version {
    Tls12,
    Tls13,
}

type Rustls = (TlsConnector, TlsAcceptor);

pub(super) fn rustls(version: Version, client: Boxed, server: Boxed) -> (Boxed, Boxed) {
    static TLS_1_2: LazyLock<Rustls> = LazyLock::new(|| rustls_with(&TLS12));
    static TLS_1_3: LazyLock<Rustls> = LazyLock::new(|| rustls_with(&TLS13));
    let (connector, acceptor) = match version {
        Version::Tls12 => &*TLS_1_2,
        Version::Tls13 => &*TLS_1_3,
    };
    let name = ServerName::try_from(NAME).unwrap();
    tasks::run(async {
        handshake(
            async { Box::new(connector.connect(name, client).await.unwrap()) as Boxed },
            async { Box::new(acceptor.accept(server).await.unwrap()) as Boxed },
        )
        .await
    })
}

/// Both sides at once. A client that is through reads on: a server of TLS 1.3 waits until the line
/// has taken its session tickets, which may be more than the line holds.
async fn handshake(
    connect: impl Future<Output = Boxed>,
    accept: impl Future<Output = Boxed>,
) -> (Boxed, Boxed) {
    let (mut connect, mut accept) = (pin!(connect), pin!(accept));
    let (mut client, mut server): (Option<Boxed>, Option<Boxed>) = (None, None);
    poll_fn(|cx| {
        match &mut client {
            None => client = ready(connect.as_mut().poll(cx)),
            Some(client) => {
                let mut byte = [0];
                let read = Pin::new(client).poll_read(cx, &mut ReadBuf::new(&mut byte));
                assert!(read.is_pending(), "nothing was sent");
            }
        }
        if server.is_none() {
            server = ready(accept.as_mut().poll(cx));
        }
        if client.is_some() && server.is_some() { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    (client.unwrap(), server.unwrap())
}

fn ready<T>(poll: Poll<T>) -> Option<T> {
    match poll {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    }
}

fn rustls_with(version: &'static SupportedProtocolVersion) -> Rustls {
    let Certificate { certificate, key } = &*CERTIFICATE;
    let mut roots = RootCertStore::empty();
    roots.add(certificate.clone()).unwrap();
    let provider = Arc::new(default_provider());
    let client = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[version])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let key = PrivateKeyDer::try_from(key.clone()).unwrap();
    let server = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[version])
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.clone()], key)
        .unwrap();
    (Arc::new(client).into(), Arc::new(server).into())
}
