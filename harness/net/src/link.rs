//! A TCP link that can be troubled: it relays connections to an address, and can refuse, hang or be slow.
//!
//! For what is reached over real sockets only, such as a database. Does not read what it carries, and draws nothing: who
//! holds the link says when it changes. On the virtual clock hosts are decorated instead.

use std::io;
use std::net::Ipv4Addr;
use std::pin::pin;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures::future::try_join;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, split};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::listener::Listener;
use crate::stream::{AbortHandle, Stream};

/// Connections at once; further ones wait in the listener's backlog.
const MAX_OPEN: usize = 1_024;
/// Bytes that are read at a time.
const CHUNK: usize = 8 * 1_024;
/// Chunks under way in one direction of a connection: 64 KiB, as in a receive window.
const CHUNKS_UNDER_WAY: usize = 8;
/// How long the target may take to accept a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How a link is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkState {
    /// Everything passes.
    Open,
    /// Open connections are reset and new ones refused, as if the process on the other side had died.
    Refuse,
    /// Connections stay open and new ones are accepted, but nothing passes, ends included, until the link is open again.
    Hang,
    /// Every byte takes this long, in either direction. A connection takes it twice: there and back.
    Slow(Duration),
}

/// A relay on a loopback port of its own. Dropping it ends it and its connections.
#[derive(Debug)]
pub struct Link {
    authority: String,
    state: watch::Sender<LinkState>,
    _task: AbortOnDropHandle<()>,
}

impl Link {
    /// Opens a link to `target`, as `host:port`, which need not be there yet. Call it inside a runtime.
    pub fn open(target: &str) -> io::Result<Self> {
        let listener = Listener::bind((Ipv4Addr::LOCALHOST, 0).into())?;
        let (state, watched) = watch::channel(LinkState::Open);
        Ok(Self {
            authority: listener.authority().to_owned(),
            state,
            _task: AbortOnDropHandle::new(tokio::spawn(keep(listener, target.to_owned(), watched))),
        })
    }

    /// Where it listens: what to give out in the target's place.
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// Changes how it is, for open connections too.
    pub fn set(&self, state: LinkState) {
        self.state.send_replace(state);
    }

    /// How it is.
    pub fn state(&self) -> LinkState {
        *self.state.borrow()
    }
}

/// Listens while the link is not to refuse; ends when the link is dropped, or the port was lost.
async fn keep(mut listener: Listener, target: String, mut state: watch::Receiver<LinkState>) {
    loop {
        let refused = CancellationToken::new();
        let mut open = JoinSet::new();
        let relayed = |near| relay(near, target.clone(), state.clone(), refused.clone());
        let mut watched = state.clone();
        tokio::select! {
            biased;
            changed = watched.wait_for(|state| *state == LinkState::Refuse) => if changed.is_err() { return },
            () = accept(&mut listener, relayed, &mut open) => {}
        }
        let Ok(closed) = listener.close() else { return };
        refused.cancel();
        while open.join_next().await.is_some() {}
        if state.wait_for(|state| *state != LinkState::Refuse).await.is_err() {
            return;
        }
        let Ok(reopened) = closed.reopen() else { return };
        listener = reopened;
    }
}

/// Accepts connections for good.
async fn accept<R>(listener: &mut Listener, relayed: impl Fn(Stream) -> R, open: &mut JoinSet<()>)
where
    R: Future<Output = ()> + Send + 'static,
{
    loop {
        tokio::select! {
            biased;
            Some(_) = open.join_next() => {}
            near = listener.next(), if open.len() < MAX_OPEN => {
                open.spawn(relayed(near));
            }
        }
    }
}

/// One connection; both its ends are reset when the link refuses, the target cannot be reached, or either end breaks.
async fn relay(near: Stream, target: String, mut state: watch::Receiver<LinkState>, refused: CancellationToken) {
    let connect = async {
        pass(&mut state, Instant::now()).await?;
        let far = timeout(CONNECT_TIMEOUT, TcpStream::connect(&target)).await;
        Stream::over(far.ok()?.ok()?).ok()
    };
    let Some(Some(far)) = refused.run_until_cancelled(connect).await else {
        near.reset();
        return;
    };
    let ends = [near.abort_handle(), far.abort_handle()];
    let ((near_in, near_out), (far_in, far_out)) = (split(near), split(far));
    let there = carry(near_in, far_out, state.clone());
    let back = carry(far_in, near_out, state);
    // Held over its end, as it owns the connections.
    let mut both = pin!(try_join(there, back));
    if !matches!(refused.run_until_cancelled(both.as_mut()).await, Some(Ok(_))) {
        ends.iter().for_each(AbortHandle::reset_on_drop);
    }
}

/// Carries one direction to its end. Reading goes on while bytes are under way, up to the bound.
async fn carry(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    mut state: watch::Receiver<LinkState>,
) -> io::Result<()> {
    let (sender, mut under_way) = mpsc::channel::<(Instant, Bytes)>(CHUNKS_UNDER_WAY);
    let read = async move {
        loop {
            let mut chunk = BytesMut::with_capacity(CHUNK);
            let n = from.read_buf(&mut chunk).await?;
            // An empty chunk is the end, and takes its time as any other.
            let sent = sender.send((Instant::now(), chunk.freeze())).await;
            if n == 0 || sent.is_err() {
                return Ok(());
            }
        }
    };
    let write = async move {
        while let Some((sent, chunk)) = under_way.recv().await {
            if pass(&mut state, sent).await.is_none() {
                return Err(io::ErrorKind::ConnectionAborted.into());
            }
            if chunk.is_empty() {
                return to.shutdown().await;
            }
            to.write_all(&chunk).await?;
        }
        Ok(())
    };
    try_join(read, write).await.map(drop)
}

/// Waits until what was sent at `sent` may pass; `None` when the link is gone.
async fn pass(state: &mut watch::Receiver<LinkState>, sent: Instant) -> Option<()> {
    loop {
        let now = *state.borrow_and_update();
        let due = match now {
            LinkState::Open => return Some(()),
            LinkState::Slow(latency) => Some(sent + latency),
            LinkState::Hang | LinkState::Refuse => None,
        };
        let arrives = async {
            match due {
                Some(due) => sleep_until(due).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            changed = state.changed() => changed.ok()?,
            () = arrives => return Some(()),
        }
    }
}
