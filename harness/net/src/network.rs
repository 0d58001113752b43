//! Where connections come from: TCP on the real clock, memory on the virtual one.
//!
//! Nobody else needs to know which of the two a run uses. Does not speak HTTP and does not pool.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::net::{TcpSocket, TcpStream};

use crate::connector::Connector;
use crate::listener::Listener;
use crate::memory::Names;
use crate::stream::Stream;

/// Listens and connects, over TCP or in memory. Clones share the same network.
#[derive(Clone, Debug)]
pub struct Network {
    kind: Kind,
}

#[derive(Clone, Debug)]
enum Kind {
    Tcp,
    Memory(Names),
}

impl Network {
    /// Real sockets; listeners bind to loopback.
    pub fn tcp() -> Self {
        Self { kind: Kind::Tcp }
    }

    /// A network of its own inside this process, with no hosts yet and no latency.
    pub fn memory() -> Self {
        Self {
            kind: Kind::Memory(Names::default()),
        }
    }

    /// Opens a listener: in memory under the name `host`, on TCP at any free port of 127.0.0.1. Call it inside a runtime.
    ///
    /// Fails with `AddrInUse` when somebody already listens under that name.
    pub fn listen(&self, host: &str) -> io::Result<Listener> {
        match &self.kind {
            Kind::Tcp => Listener::bind((Ipv4Addr::LOCALHOST, 0).into()),
            Kind::Memory(names) => names.listen(host).map(Listener::in_memory),
        }
    }

    /// Connects to a listener's authority: a name in memory, `host:port` on TCP (port 80 when there is none).
    ///
    /// Fails with `ConnectionRefused` when nobody listens there.
    pub async fn connect(&self, authority: &str) -> io::Result<Stream> {
        match &self.kind {
            Kind::Tcp => Stream::over(TcpStream::connect(with_port(authority)).await?),
            Kind::Memory(names) => names.connect(authority).await.map(Stream::in_memory),
        }
    }

    /// The same network as one of its hosts sees it: its listeners and connections are those that are made through this
    /// handle and its clones, or through another one of that name. On TCP a plain clone.
    #[must_use]
    pub fn host(&self, name: &str) -> Self {
        match &self.kind {
            Kind::Tcp => self.clone(),
            Kind::Memory(names) => Self {
                kind: Kind::Memory(names.host(name)),
            },
        }
    }

    /// Takes a host off the network as `kill -9` does: its listeners refuse, its connections are reset for both sides,
    /// bytes under way are lost, and its handles make nothing any more (`NetworkDown`). A handle that
    /// [`Network::host`] gives out later is that of a successor.
    ///
    /// What the peers had received they still read; they hear of the reset after the connection's latency. On TCP it does
    /// nothing: there the system does all this when the process dies.
    pub fn sever(&self, name: &str) {
        if let Kind::Memory(names) = &self.kind {
            names.sever(name);
        }
    }

    /// The same with a receive window of about `window` bytes: the other side soon feels that this one does not read. A kernel
    /// rounds it up to what it can do.
    pub async fn connect_narrow(&self, authority: &str, window: usize) -> io::Result<Stream> {
        match &self.kind {
            Kind::Tcp => Stream::over(narrow_tcp(authority, window).await?),
            Kind::Memory(names) => {
                let stream = names.connect(authority).await?;
                stream.narrow(window);
                Ok(Stream::in_memory(stream))
            }
        }
    }

    /// This network as a connector for `hyper_util`'s client.
    pub fn connector(&self) -> Connector {
        Connector::new(self.clone())
    }

    /// Sets the one-way latency of connections to `host` that are opened from now on.
    ///
    /// Fails with `Unsupported` on TCP, whose links are what they are.
    pub fn set_latency(&self, host: &str, one_way: Duration) -> io::Result<()> {
        match &self.kind {
            Kind::Tcp => Err(io::Error::new(
                io::ErrorKind::Unsupported,
                "a link's latency can be set on the virtual clock only: remove it, or run with --clock virtual",
            )),
            Kind::Memory(names) => {
                names.set_latency(host, one_way);
                Ok(())
            }
        }
    }
}

/// A connection whose receive buffer was made small before the other side could learn of a larger one.
async fn narrow_tcp(authority: &str, window: usize) -> io::Result<TcpStream> {
    let mut failure = io::Error::new(
        io::ErrorKind::AddrNotAvailable,
        format!("`{authority}` has no address: check the name"),
    );
    for address in tokio::net::lookup_host(with_port(authority)).await? {
        let socket = match address {
            SocketAddr::V4(_) => TcpSocket::new_v4()?,
            SocketAddr::V6(_) => TcpSocket::new_v6()?,
        };
        socket.set_recv_buffer_size(u32::try_from(window).unwrap_or(u32::MAX))?;
        match socket.connect(address).await {
            Ok(connection) => return Ok(connection),
            Err(error) => failure = error,
        }
    }
    Err(failure)
}

/// `authority` with the port of plain HTTP when it names none.
fn with_port(authority: &str) -> String {
    let host_end = authority.rfind(']').unwrap_or(0);
    if authority[host_end..].contains(':') {
        authority.to_owned()
    } else {
        format!("{authority}:80")
    }
}

#[cfg(test)]
mod tests {
    use super::with_port;

    #[test]
    fn an_authority_without_a_port_means_port_80() {
        assert_eq!(with_port("localhost"), "localhost:80");
        assert_eq!(with_port("localhost:8080"), "localhost:8080");
        assert_eq!(with_port("[::1]"), "[::1]:80");
        assert_eq!(with_port("[::1]:9"), "[::1]:9");
    }
}
