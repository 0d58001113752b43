//! A listener that refuses for a while: its place stays its own, but nobody gets in.
//!
//! Does not decide when: whoever closes a listener reopens it.

use std::io;
use std::net::SocketAddr;

use socket2::SockRef;
use tokio::net::{TcpListener, TcpSocket};

use crate::listener::{Listener, TCP_BACKLOG};
use crate::memory::{MemoryListener, Names};

/// A closed [`Listener`]: connections to its authority are refused. Dropping it gives the authority up.
#[derive(Debug)]
pub struct Closed {
    kind: Kind,
    authority: String,
}

#[derive(Debug)]
enum Kind {
    /// Bound and not listening: the kernel refuses connections and gives the port to nobody else.
    Tcp(std::net::TcpListener),
    Memory(Names),
}

impl Closed {
    pub(crate) fn tcp(listener: TcpListener, authority: String) -> io::Result<Self> {
        Ok(Self {
            kind: Kind::Tcp(deafen(listener)?),
            authority,
        })
    }

    /// Closes `listener`, which the caller drops.
    pub(crate) fn in_memory(listener: &MemoryListener) -> Self {
        Self {
            kind: Kind::Memory(listener.names()),
            authority: listener.name().to_owned(),
        }
    }

    /// Where it refuses connections: that of the listener before and after.
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// Listens again, at the same authority. Call it inside a runtime.
    ///
    /// Fails with `AddrInUse` when somebody took the authority meanwhile: in memory anybody can, on TCP only who asks
    /// for just this port and for the reuse of addresses.
    pub fn reopen(self) -> io::Result<Listener> {
        match self.kind {
            Kind::Tcp(socket) => {
                SockRef::from(&socket).listen(TCP_BACKLOG.cast_signed())?;
                Listener::over(TcpListener::from_std(socket)?)
            }
            Kind::Memory(names) => names.listen(&self.authority).map(Listener::in_memory),
        }
    }
}

/// Stops a listener from listening, without giving its port up even for a moment: somebody would take it.
#[cfg(target_os = "linux")]
fn deafen(listener: TcpListener) -> io::Result<std::net::TcpListener> {
    // Out of the runtime, which would take the hang-up that follows for news.
    let socket = listener.into_std()?;
    SockRef::from(&socket).shutdown(std::net::Shutdown::Both)?;
    Ok(socket)
}

/// Elsewhere a listener cannot be told to stop: it is dropped, and its port bound again.
#[cfg(not(target_os = "linux"))]
fn deafen(listener: TcpListener) -> io::Result<std::net::TcpListener> {
    let address = listener.local_addr()?;
    drop(listener);
    let socket = socket2::Socket::new(socket2::Domain::for_address(address), socket2::Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    Ok(socket.into())
}

/// A socket that holds `address`, beside connections that were accepted there.
pub(crate) fn reserve(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = if address.is_ipv4() {
        TcpSocket::new_v4()?
    } else {
        TcpSocket::new_v6()?
    };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    Ok(socket)
}
