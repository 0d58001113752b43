//! A listener over TCP or in memory, for our own accept loop and for axum's.
//!
//! Does not serve what it accepts: that is [`mod@crate::serve`].

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::TcpListener;

use crate::closed::{Closed, reserve};
use crate::memory::MemoryListener;
use crate::stream::Stream;

/// Connections that may wait to be accepted. With the system's usual 128 a burst waits a second for its SYN to be sent
/// again.
pub(crate) const TCP_BACKLOG: u32 = 1_024;

/// How long to wait after an accept that failed for want of resources, such as file descriptors.
const EXHAUSTED_PAUSE: Duration = Duration::from_millis(100);

/// Accepts the connections made to one authority. Dropping it closes the authority.
#[derive(Debug)]
pub struct Listener {
    kind: Kind,
    authority: String,
}

#[derive(Debug)]
enum Kind {
    Tcp(TcpListener),
    Memory(MemoryListener),
}

impl Listener {
    /// Listens on a TCP address; port 0 takes a free one. Call it inside a runtime.
    pub fn bind(address: SocketAddr) -> io::Result<Self> {
        let mut socket = reserve(address)?;
        if address.port() == 0 {
            // A socket that asked for its port by number keeps it while it is closed; one that was given any port does not.
            socket = reserve(socket.local_addr()?)?;
        }
        Self::over(socket.listen(TCP_BACKLOG)?)
    }

    /// Takes over a TCP listener that was bound elsewhere, for an address that is not any loopback port.
    pub fn over(listener: TcpListener) -> io::Result<Self> {
        Ok(Self {
            authority: listener.local_addr()?.to_string(),
            kind: Kind::Tcp(listener),
        })
    }

    pub(crate) fn in_memory(listener: MemoryListener) -> Self {
        Self {
            authority: listener.name().to_owned(),
            kind: Kind::Memory(listener),
        }
    }

    /// What to give to [`crate::Network::connect`], and what stands between `http://` and the path.
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// Stops listening: until [`Closed::reopen`] new connections are refused, and those not accepted yet are reset.
    ///
    /// Connections accepted before are untouched.
    pub fn close(self) -> io::Result<Closed> {
        match self.kind {
            Kind::Tcp(listener) => Closed::tcp(listener, self.authority),
            Kind::Memory(listener) => Ok(Closed::in_memory(&listener)),
        }
    }

    /// The next connection. In memory it waits for good once nobody is left who could connect.
    ///
    /// Dropping the future loses no connection.
    pub async fn accept(&mut self) -> io::Result<Stream> {
        match &mut self.kind {
            Kind::Tcp(listener) => Stream::over(listener.accept().await?.0),
            Kind::Memory(listener) => Ok(Stream::in_memory(listener.accept().await)),
        }
    }

    /// The next connection, over whatever errors the system reports meanwhile: with no descriptor left it tries again ten
    /// times a second.
    ///
    /// Dropping the future loses no connection.
    pub async fn next(&mut self) -> Stream {
        loop {
            match self.accept().await {
                Ok(stream) => return stream,
                Err(error) if is_about_one_peer(&error) => {}
                Err(_) => tokio::time::sleep(EXHAUSTED_PAUSE).await,
            }
        }
    }
}

/// The peer left between its connect and our accept; the next one may be fine.
fn is_about_one_peer(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionRefused
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::InvalidInput
    )
}

impl axum::serve::Listener for Listener {
    type Io = Stream;
    type Addr = String;

    async fn accept(&mut self) -> (Stream, String) {
        (self.next().await, self.authority.clone())
    }

    fn local_addr(&self) -> io::Result<String> {
        Ok(self.authority.clone())
    }
}
