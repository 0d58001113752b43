//! A network as the connector of an HTTP client.
//!
//! Does not speak TLS: a run's own links are plain, and a target behind TLS is reached through another client.

use std::io;
use std::task::{Context, Poll};

use futures::future::BoxFuture;
use http::Uri;
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::TokioIo;
use tower_service::Service;

use crate::network::Network;
use crate::stream::Stream;

/// Opens a connection to the authority of a URI; made by [`Network::connector`].
#[derive(Clone, Debug)]
pub struct Connector {
    network: Network,
}

impl Connector {
    pub(crate) fn new(network: Network) -> Self {
        Self { network }
    }
}

impl Service<Uri> for Connector {
    type Response = TokioIo<Stream>;
    type Error = io::Error;
    type Future = BoxFuture<'static, io::Result<TokioIo<Stream>>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let network = self.network.clone();
        Box::pin(async move {
            let authority = authority(&uri)?;
            network.connect(authority).await.map(TokioIo::new)
        })
    }
}

fn authority(uri: &Uri) -> io::Result<&str> {
    let problem = match (uri.scheme_str(), uri.authority()) {
        (Some("http") | None, Some(authority)) => return Ok(authority.as_str()),
        (_, None) => "names no host: write http://HOST[:PORT]/...",
        (Some(_), Some(_)) => "does not start with http://, the only scheme spoken here",
    };
    Err(io::Error::new(
        io::ErrorKind::InvalidInput,
        format!("`{uri}` {problem}"),
    ))
}

impl Connection for Stream {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}
