//! OpenSSL.

use super::{CERTIFICATE, Certificate, NAME, handshake};
use crate::over::{Boxed, tasks};
use openssl::{
    pkey::PKey,
    ssl::{Ssl, SslAcceptor, SslConnector, SslMethod},
    x509::X509,
};
use std::{pin::Pin, sync::LazyLock};
use tokio_openssl::SslStream;

type OpenSsl = (SslConnector, SslAcceptor);

pub(in crate::over) fn connect(client: Boxed, server: Boxed) -> (Boxed, Boxed) {
    static OPENSSL: LazyLock<OpenSsl> = LazyLock::new(openssl_with);
    let (connector, acceptor) = &*OPENSSL;
    let connecting = connector.configure().unwrap().into_ssl(NAME).unwrap();
    let accepting = Ssl::new(acceptor.context()).unwrap();
    let mut client = SslStream::new(connecting, client).unwrap();
    let mut server = SslStream::new(accepting, server).unwrap();
    tasks::run(async {
        handshake(
            async move {
                Pin::new(&mut client).connect().await.unwrap();
                Box::new(client) as Boxed
            },
            async move {
                Pin::new(&mut server).accept().await.unwrap();
                Box::new(server) as Boxed
            },
        )
        .await
    })
}

fn openssl_with() -> OpenSsl {
    let Certificate { certificate, key } = &*CERTIFICATE;
    let certificate = X509::from_der(certificate).unwrap();
    let mut client = SslConnector::builder(SslMethod::tls()).unwrap();
    client.cert_store_mut().add_cert(certificate.clone()).unwrap();
    let mut server = SslAcceptor::mozilla_intermediate_v5(SslMethod::tls()).unwrap();
    server.set_private_key(&PKey::private_key_from_der(key).unwrap()).unwrap();
    server.set_certificate(&certificate).unwrap();
    (client.build(), server.build())
}
