//! A connection over TCP or in memory, and how to give it up with a reset.
//!
//! Does not know HTTP: while hyper owns the stream, an [`AbortHandle`] says how its end shall look to the peer.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use bytes::{Buf, Bytes};
use futures::task::AtomicWaker;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use crate::memory::MemoryStream;

/// One connection. Dropping it sends what was written and then FIN, unless a reset was asked for.
#[derive(Debug)]
pub struct Stream {
    transport: Transport,
    abort: AbortHandle,
    /// Bytes that were read to learn what the peer speaks, and are to be read again.
    unread: Bytes,
}

#[derive(Debug)]
enum Transport {
    Tcp(TcpStream),
    Memory(MemoryStream),
}

/// Decides how a stream ends that somebody else owns by then, and tells how its writing goes.
#[derive(Clone, Debug, Default)]
pub struct AbortHandle {
    reset: Arc<AtomicBool>,
    blocked: Arc<AtomicBool>,
    over: Arc<Over>,
}

/// Whether the stream was given up while its owner still uses it.
#[derive(Debug, Default)]
struct Over {
    said: AtomicBool,
    owner: AtomicWaker,
}

impl AbortHandle {
    /// Fails whatever the owner reads or writes from now on, so that it drops the stream, and makes that drop a reset.
    ///
    /// For an end that does not wait until a slow peer has read what was written before.
    pub fn reset_now(&self) {
        self.reset_on_drop();
        self.over.said.store(true, Ordering::Release);
        self.over.owner.wake();
    }

    /// `step`, unless the stream was given up; its owner is told of that while it waits.
    fn unless_over<T>(&self, cx: &Context<'_>, step: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if step.is_pending() {
            self.over.owner.register(cx.waker());
        }
        if self.over.said.load(Ordering::Acquire) {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        step
    }

    /// Makes the later drop of the stream a reset: RST instead of FIN on the wire.
    ///
    /// The drop is the owner's: a hyper server drops a connection whose service or body returned an error, a hyper
    /// client when its connection future is dropped. On HTTP/2 the connection is not one request's to end: there the
    /// handle that a request carries does nothing, and an error resets the request's own stream.
    pub fn reset_on_drop(&self) {
        self.reset.store(true, Ordering::Relaxed);
    }

    /// Whether something is waiting to be written because the peer reads too slowly.
    pub fn is_blocked(&self) -> bool {
        self.blocked.load(Ordering::Relaxed)
    }

    fn wrote<T>(&self, written: Poll<T>) -> Poll<T> {
        self.blocked.store(written.is_pending(), Ordering::Relaxed);
        written
    }

    fn is_reset(&self) -> bool {
        self.reset.load(Ordering::Relaxed)
    }
}

impl Stream {
    /// Takes over a TCP connection, which then sends small writes at once (`TCP_NODELAY`).
    pub fn over(tcp: TcpStream) -> io::Result<Self> {
        tcp.set_nodelay(true)?;
        Ok(Self::new(Transport::Tcp(tcp)))
    }

    pub(crate) fn in_memory(stream: MemoryStream) -> Self {
        Self::new(Transport::Memory(stream))
    }

    fn new(transport: Transport) -> Self {
        Self {
            transport,
            abort: AbortHandle::default(),
            unread: Bytes::new(),
        }
    }

    pub(crate) fn is_tcp(&self) -> bool {
        matches!(self.transport, Transport::Tcp(_))
    }

    /// Makes `bytes` the next ones that are read.
    pub(crate) fn unread(&mut self, bytes: Bytes) {
        debug_assert!(self.unread.is_empty(), "only what was read can be unread");
        self.unread = bytes;
    }

    /// A handle that can still turn the end into a reset while hyper owns the stream.
    pub fn abort_handle(&self) -> AbortHandle {
        self.abort.clone()
    }

    /// Gives the connection up with a reset: the peer reads what had arrived, then `ConnectionReset`.
    pub fn reset(self) {
        self.abort.reset_on_drop();
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        if !self.abort.is_reset() {
            return;
        }
        match &mut self.transport {
            // It can fail only when the peer has left already, and then there is nobody to tell.
            Transport::Tcp(tcp) => drop(tcp.set_zero_linger()),
            Transport::Memory(memory) => memory.reset(),
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if !self.unread.is_empty() {
            let part = self.unread.len().min(buf.remaining());
            buf.put_slice(&self.unread[..part]);
            self.unread.advance(part);
            return Poll::Ready(Ok(()));
        }
        let read = match &mut self.transport {
            Transport::Tcp(tcp) => Pin::new(tcp).poll_read(cx, buf),
            Transport::Memory(memory) => memory.poll_read(cx, buf),
        };
        self.abort.unless_over(cx, read)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        let written = match &mut self.transport {
            Transport::Tcp(tcp) => Pin::new(tcp).poll_write(cx, data),
            Transport::Memory(memory) => memory.poll_write(cx, data),
        };
        self.abort.unless_over(cx, self.abort.wrote(written))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = match &mut self.transport {
            Transport::Tcp(tcp) => Pin::new(tcp).poll_write_vectored(cx, slices),
            Transport::Memory(memory) => {
                let first = slices.iter().find(|slice| !slice.is_empty());
                memory.poll_write(cx, first.map_or(&[], |slice| slice))
            }
        };
        self.abort.unless_over(cx, self.abort.wrote(written))
    }

    fn is_write_vectored(&self) -> bool {
        matches!(&self.transport, Transport::Tcp(tcp) if tcp.is_write_vectored())
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.transport {
            Transport::Tcp(tcp) => Pin::new(tcp).poll_flush(cx),
            Transport::Memory(_) => Poll::Ready(Ok(())),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.abort.is_reset() {
            return Poll::Ready(Ok(())); // no FIN before the RST
        }
        match &mut self.transport {
            Transport::Tcp(tcp) => Pin::new(tcp).poll_shutdown(cx),
            Transport::Memory(memory) => {
                memory.shutdown();
                Poll::Ready(Ok(()))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::Network;

    #[tokio::test]
    async fn small_writes_leave_at_once_on_both_sides_of_a_tcp_connection() {
        let network = Network::tcp();
        let mut listener = network.listen("").unwrap();
        let authority = listener.authority().to_owned();
        let (near, far) = tokio::join!(network.connect(&authority), listener.accept());
        for stream in [near.unwrap(), far.unwrap()] {
            let Transport::Tcp(tcp) = &stream.transport else {
                panic!("not TCP")
            };
            assert!(tcp.nodelay().unwrap());
        }
    }
}
