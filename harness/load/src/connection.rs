//! One connection for one request. Dropping it hangs up; [`Connection::reset`] hangs up with a reset.

use std::future::Future;

use brownout_net::{AbortHandle, Network};
use brownout_scenario::plan::SlowRead;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::task::JoinHandle;

use crate::slow::{Slow, WINDOW};

/// A connection to the target, with the task that drives it.
pub(crate) struct Connection {
    sender: http1::SendRequest<Full<Bytes>>,
    driver: JoinHandle<()>,
    abort: AbortHandle,
}

/// No connection, or none that speaks HTTP.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectError {
    /// The target's side.
    #[error("could not connect to the target")]
    Target,
    /// Our own: no descriptor or no port is left.
    #[error("this machine has no descriptor or port left for the harness")]
    Exhausted,
}

/// EMFILE, ENFILE and EADDRNOTAVAIL, as Linux and macOS number them.
const EXHAUSTED: [i32; 4] = [24, 23, 99, 49];

impl From<std::io::Error> for ConnectError {
    fn from(error: std::io::Error) -> Self {
        let exhausted = error.raw_os_error().is_some_and(|code| EXHAUSTED.contains(&code));
        if exhausted { Self::Exhausted } else { Self::Target }
    }
}

impl Connection {
    /// Connects to `authority`, for a client that reads as `reads` says.
    pub(crate) async fn open(
        network: &Network,
        authority: &str,
        reads: Option<SlowRead>,
    ) -> Result<Self, ConnectError> {
        let stream = match reads {
            None => network.connect(authority).await?,
            Some(_) => network.connect_narrow(authority, WINDOW).await?,
        };
        let abort = stream.abort_handle();
        let (sender, connection) = http1::handshake(TokioIo::new(Slow::new(stream, reads)))
            .await
            .map_err(|_| ConnectError::Target)?;
        let driver = tokio::spawn(async move {
            // Its errors reach whoever waits for the answer.
            let _ = connection.await;
        });
        Ok(Self { sender, driver, abort })
    }

    /// Sends `request`; the answer's body arrives while the connection is alive.
    pub(crate) fn send(
        &mut self,
        request: Request<Full<Bytes>>,
    ) -> impl Future<Output = hyper::Result<Response<Incoming>>> + use<> {
        self.sender.send_request(request)
    }

    /// Hangs up with a reset.
    pub(crate) fn reset(self) {
        self.abort.reset_on_drop();
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}
