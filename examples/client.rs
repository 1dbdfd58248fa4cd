//! Standard input to a WebSocket, the WebSocket to standard output.
//!
//! `cargo run --features tls --example client -- [OPTIONS] URL`
//!
//! | option | |
//! |---|---|
//! | `--http2` | over HTTP/2 only (by default, the server chooses if there is TLS) |
//! | `--text` | messages of text instead of binary ones |
//! | `--protocol NAME` | offer this subprotocol; may be given again |
//! | `--header NAME:VALUE` | send this header; may be given again |
//! | `--insecure` | take any certificate |
//!
//! The end of the input ends our direction only: what the server still sends is written.

use fastwebsockets_stream::{
    Config, PayloadType, Transport, WebSocketStream,
    client::{Builder, rustls},
};
use std::{error::Error, sync::Arc};
use tokio::{
    io::{AsyncWriteExt, stdin, stdout},
    try_join,
};

type BoxError = Box<dyn Error + Send + Sync>;

struct Arguments {
    builder: Builder,
    http2: bool,
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let stream = open(parse_arguments()?).await?;
    let (mut reads, mut writes) = tokio::io::split(stream);
    let send = async {
        tokio::io::copy(&mut stdin(), &mut writes).await?;
        writes.shutdown().await
    };
    let receive = async {
        let mut output = stdout();
        tokio::io::copy(&mut reads, &mut output).await?;
        output.flush().await
    };
    try_join!(send, receive)?;
    // Standard input is read by a thread that can't be stopped.
    std::process::exit(0)
}

async fn open(arguments: Arguments) -> Result<WebSocketStream<Transport>, BoxError> {
    let Arguments { builder, http2 } = arguments;
    let (stream, _response) = if http2 {
        builder.http2(&builder.connect_http2().await?).await?
    } else {
        builder.connect().await?
    };
    Ok(stream)
}

fn parse_arguments() -> Result<Arguments, BoxError> {
    use lexopt::prelude::*;
    let (mut uri, mut http2, mut insecure) = (None, false, false);
    let mut config = Config::new().half_close(true).strict_close(true);
    let (mut protocols, mut headers) = (Vec::new(), Vec::new());
    let mut parser = lexopt::Parser::from_env();
    while let Some(argument) = parser.next()? {
        match argument {
            Long("http2") => http2 = true,
            Long("text") => config = config.payload_type(PayloadType::Text),
            Long("protocol") => protocols.push(parser.value()?.string()?),
            Long("header") => headers.push(parser.value()?.string()?),
            Long("insecure") => insecure = true,
            Value(value) if uri.is_none() => uri = Some(value.string()?),
            other => return Err(other.unexpected().into()),
        }
    }
    let uri = uri.ok_or("which URL? For example ws://127.0.0.1:8080/echo")?;
    let mut builder = Builder::new(uri).config(config).subprotocols(protocols);
    for header in &headers {
        let (name, value) = header.split_once(':').ok_or("--header takes NAME:VALUE")?;
        builder = builder.header(name, value.trim());
    }
    if insecure {
        builder = builder.tls_config(trust_anybody()?);
    }
    Ok(Arguments { builder, http2 })
}

fn trust_anybody() -> Result<rustls::ClientConfig, rustls::Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = Arc::new(insecure::AnyCertificate(Arc::clone(&provider)));
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?;
    Ok(config.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth())
}

mod insecure {
    //! Trusts every certificate, as `--insecure` asks.

    use super::rustls::{
        DigitallySignedStruct, Error, SignatureScheme,
        client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature},
        pki_types::{CertificateDer, ServerName, UnixTime},
    };
    use std::sync::Arc;

    #[derive(Debug)]
    pub(super) struct AnyCertificate(pub(super) Arc<CryptoProvider>);

    impl ServerCertVerifier for AnyCertificate {
        fn verify_server_cert(
            &self,
            _end_entity: &CertificateDer<'_>,
            _intermediates: &[CertificateDer<'_>],
            _server_name: &ServerName<'_>,
            _ocsp_response: &[u8],
            _now: UnixTime,
        ) -> Result<ServerCertVerified, Error> {
            Ok(ServerCertVerified::assertion())
        }

        fn verify_tls12_signature(
            &self,
            message: &[u8],
            certificate: &CertificateDer<'_>,
            signature: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            let algorithms = &self.0.signature_verification_algorithms;
            verify_tls12_signature(message, certificate, signature, algorithms)
        }

        fn verify_tls13_signature(
            &self,
            message: &[u8],
            certificate: &CertificateDer<'_>,
            signature: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            let algorithms = &self.0.signature_verification_algorithms;
            verify_tls13_signature(message, certificate, signature, algorithms)
        }

        fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
            self.0.signature_verification_algorithms.supported_schemes()
        }
    }
}
