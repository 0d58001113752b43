//! Who listens under which name, and how far away it is.
//!
//! Does not move bytes.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::mpsc;

use super::lock;
use super::stream::MemoryStream;

/// Connections that may wait to be accepted; further ones wait in `connect`.
const BACKLOG: usize = 1_024;

/// The names of one in-memory network.
#[derive(Clone, Debug, Default)]
pub(crate) struct Names(Arc<Mutex<Registry>>);

#[derive(Debug, Default)]
struct Registry {
    listening: BTreeMap<String, mpsc::Sender<MemoryStream>>,
    latency: BTreeMap<String, Duration>,
}

impl Names {
    pub(crate) fn listen(&self, name: &str) -> io::Result<MemoryListener> {
        let mut registry = lock(&self.0);
        if registry.listening.contains_key(name) {
            return Err(io::Error::new(
                io::ErrorKind::AddrInUse,
                format!("`{name}` is taken: drop its listener first, or choose another name"),
            ));
        }
        let (sender, incoming) = mpsc::channel(BACKLOG);
        registry.listening.insert(name.to_owned(), sender);
        Ok(MemoryListener {
            names: self.clone(),
            name: name.to_owned(),
            incoming,
        })
    }

    /// Takes one latency to reach the listener and one to hear of it, as SYN and SYN-ACK do.
    pub(crate) async fn connect(&self, name: &str) -> io::Result<MemoryStream> {
        let latency = lock(&self.0).latency.get(name).copied().unwrap_or_default();
        pass(latency).await;
        let listening = lock(&self.0).listening.get(name).cloned();
        let (ours, theirs) = MemoryStream::pair(latency);
        let taken = match listening {
            Some(listener) => listener.send(theirs).await.is_ok(),
            None => false,
        };
        pass(latency).await;
        if taken {
            Ok(ours)
        } else {
            Err(io::Error::new(
                io::ErrorKind::ConnectionRefused,
                format!("nobody listens as `{name}`"),
            ))
        }
    }

    pub(crate) fn set_latency(&self, name: &str, one_way: Duration) {
        lock(&self.0).latency.insert(name.to_owned(), one_way);
    }
}

async fn pass(latency: Duration) {
    if !latency.is_zero() {
        tokio::time::sleep(latency).await;
    }
}

/// Holds a name and takes the connections made to it.
#[derive(Debug)]
pub(crate) struct MemoryListener {
    names: Names,
    name: String,
    incoming: mpsc::Receiver<MemoryStream>,
}

impl MemoryListener {
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The network on which it listens.
    pub(crate) fn names(&self) -> Names {
        self.names.clone()
    }

    pub(crate) async fn accept(&mut self) -> MemoryStream {
        match self.incoming.recv().await {
            Some(stream) => stream,
            None => std::future::pending().await,
        }
    }
}

impl Drop for MemoryListener {
    /// Frees the name and resets who still waits to be accepted, as a kernel does.
    fn drop(&mut self) {
        lock(&self.names.0).listening.remove(&self.name);
        self.incoming.close();
        while let Ok(mut waiting) = self.incoming.try_recv() {
            waiting.reset();
        }
    }
}
