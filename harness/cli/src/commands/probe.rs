//! `brownout serve --probe PATH`: asks a service that runs already whether it is well, for images without a shell.
//!
//! Does not follow redirects, speak TLS or read the answer beyond its status.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::time::Duration;

use super::fail;
use crate::exit::Exit;

/// How long each step may take: to connect, to ask, to hear the first of the answer.
const PATIENCE: Duration = Duration::from_secs(3);
/// `HTTP/1.1 200`: all that is looked at.
const STATUS_LINE: usize = 12;

/// Asks the service that listens at `address` for `path`; passes on any 2xx.
pub fn probe(address: SocketAddr, path: &str) -> Exit {
    match status(reachable(address), path) {
        Ok(status) if (200..300).contains(&status) => Exit::Pass,
        Ok(status) => fail(Exit::Unexpected, &format!("{path} at {address} answered {status}")),
        Err(error) => fail(
            Exit::Unexpected,
            &format!("{path} at {address} does not answer: {error}"),
        ),
    }
}

/// Where to call somebody who listens at all addresses.
fn reachable(address: SocketAddr) -> SocketAddr {
    let loopback = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        other => other,
    };
    SocketAddr::new(loopback, address.port())
}

fn status(address: SocketAddr, path: &str) -> io::Result<u16> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let request = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut line = [0; STATUS_LINE];
    stream.read_exact(&mut line)?;
    let text = std::str::from_utf8(&line).ok();
    let status = text.and_then(|line| line.strip_prefix("HTTP/1.1 ")?.parse().ok());
    status.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "that is no HTTP/1.1"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    /// What a probe makes of a server that answers so.
    fn probed(answer: &'static [u8]) -> Exit {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let address = listener.local_addr().expect("an address");
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let (mut stream, _) = listener.accept().expect("a caller");
                let mut request = Vec::new();
                while !request.ends_with(b"\r\n\r\n") {
                    let mut piece = [0; 512];
                    let n = stream.read(&mut piece).expect("a request");
                    assert_ne!(n, 0, "the request has no end");
                    request.extend_from_slice(&piece[..n]);
                }
                assert!(request.starts_with(b"GET /readyz HTTP/1.1\r\nhost: 127.0.0.1:"));
                stream.write_all(answer).expect("a listener");
            });
            probe(address, "/readyz")
        })
    }

    #[test]
    fn a_probe_passes_on_2xx_and_on_nothing_else() {
        assert_eq!(probed(b"HTTP/1.1 200 OK\r\n\r\n"), Exit::Pass);
        assert_eq!(probed(b"HTTP/1.1 204 No Content\r\n\r\n"), Exit::Pass);
        assert_eq!(probed(b"HTTP/1.1 503 Service Unavailable\r\n\r\n"), Exit::Unexpected);
        assert_eq!(probed(b"SSH-2.0-OpenSSH_9.2\r\n"), Exit::Unexpected);
        assert_eq!(probed(b"HTTP"), Exit::Unexpected);
    }

    #[test]
    fn a_probe_of_nobody_fails() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let address = listener.local_addr().expect("an address");
        drop(listener);
        assert_eq!(probe(address, "/livez"), Exit::Unexpected);
    }

    #[test]
    fn who_listens_everywhere_is_called_at_loopback() {
        for (listens, called) in [
            ("0.0.0.0:8080", "127.0.0.1:8080"),
            ("[::]:8080", "[::1]:8080"),
            ("10.1.2.3:8080", "10.1.2.3:8080"),
        ] {
            let address = reachable(listens.parse().expect("an address"));
            assert_eq!(address.to_string(), called);
        }
    }
}
