//! A network of names in memory.

use std::collections::BTreeMap;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use http::Uri;
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};
use tokio::sync::mpsc;

type Hosts = Arc<Mutex<BTreeMap<String, mpsc::UnboundedSender<Stream>>>>;

#[derive(Clone, Default)]
pub(crate) struct Network(Hosts);

pub(crate) struct MemoryListener(mpsc::UnboundedReceiver<Stream>);

/// A duplex stream that a pool may hold.
pub(crate) struct Stream(DuplexStream);

impl Network {
    pub(crate) fn listen(&self, name: &str) -> MemoryListener {
        let (sender, receiver) = mpsc::unbounded_channel();
        self.0.lock().unwrap().insert(name.to_owned(), sender);
        MemoryListener(receiver)
    }

    pub(crate) fn connect(&self, name: &str) -> impl Future<Output = io::Result<Stream>> + Send + use<> {
        let host = self.0.lock().unwrap().get(name).cloned();
        async move {
            let refused = || io::Error::from(io::ErrorKind::ConnectionRefused);
            let (ours, theirs) = tokio::io::duplex(64 * 1024);
            host.ok_or_else(refused)?.send(Stream(theirs)).map_err(|_| refused())?;
            Ok(Stream(ours))
        }
    }

    pub(crate) fn connector(&self) -> Connector {
        Connector(self.clone())
    }
}

#[derive(Clone)]
pub(crate) struct Connector(Network);

impl tower_service::Service<Uri> for Connector {
    type Response = TokioIo<Stream>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<TokioIo<Stream>>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let connecting = self.0.connect(uri.host().unwrap_or_default());
        Box::pin(async move { connecting.await.map(TokioIo::new) })
    }
}

impl axum::serve::Listener for MemoryListener {
    type Io = Stream;
    type Addr = ();

    async fn accept(&mut self) -> (Stream, ()) {
        match self.0.recv().await {
            Some(stream) => (stream, ()),
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> io::Result<()> {
        Ok(())
    }
}

impl Connection for Stream {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

impl AsyncRead for Stream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}
