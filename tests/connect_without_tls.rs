//! `connect` where TLS was left out.
#![cfg(all(feature = "connect", not(feature = "tls")))]

use fastwebsockets_stream::client::{Builder, HandshakeError};

#[tokio::test]
async fn an_address_that_needs_tls_names_the_feature() {
    for uri in ["wss://localhost/", "https://localhost/"] {
        let builder = Builder::new(uri);
        let error = builder.connect_http2().await.unwrap_err();
        assert!(matches!(error, HandshakeError::MissingFeature("tls")), "{error}");
        let error = builder.connect().await.unwrap_err();
        assert!(matches!(error, HandshakeError::MissingFeature("tls")), "{error}");
        assert!(error.to_string().contains("\"tls\""), "{error}");
        assert_eq!(error.kind(), std::io::ErrorKind::Unsupported);
    }
}
