//! Who listens under which name, how far away it is, and which host it belongs to.
//!
//! Does not move bytes.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;

use super::host::Host;
use super::lock;
use super::stream::MemoryStream;

/// Connections that may wait to be accepted; further ones wait in `connect`.
const BACKLOG: usize = 1_024;

/// The names of one in-memory network, as one of its hosts sees them, or somebody who is nobody's host.
#[derive(Clone, Debug, Default)]
pub(crate) struct Names {
    registry: Arc<Mutex<Registry>>,
    host: Option<Arc<Host>>,
}

#[derive(Debug, Default)]
struct Registry {
    listening: BTreeMap<String, Listening>,
    latency: BTreeMap<String, Duration>,
    hosts: BTreeMap<String, Arc<Host>>,
}

/// Who takes the connections made to a name.
#[derive(Clone, Debug)]
struct Listening {
    sender: mpsc::Sender<MemoryStream>,
    host: Option<Arc<Host>>,
}

impl Names {
    /// The same names as the host of this name sees them. After a [`Names::sever`] it is a new host.
    pub(crate) fn host(&self, name: &str) -> Self {
        let mut registry = lock(&self.registry);
        let host = registry.hosts.entry(name.to_owned()).or_default();
        Self {
            registry: Arc::clone(&self.registry),
            host: Some(Arc::clone(host)),
        }
    }

    /// Cuts the host of this name off, listeners first, if there is one.
    pub(crate) fn sever(&self, name: &str) {
        let mut registry = lock(&self.registry);
        let Some(host) = registry.hosts.remove(name) else {
            return;
        };
        let is_of_host = |listening: &Listening| listening.host.as_ref().is_some_and(|h| Arc::ptr_eq(h, &host));
        registry.listening.retain(|_, listening| !is_of_host(listening));
        drop(registry);
        host.sever(Instant::now());
    }

    pub(crate) fn listen(&self, name: &str) -> io::Result<MemoryListener> {
        self.is_up()?;
        let mut registry = lock(&self.registry);
        if registry.listening.contains_key(name) {
            return Err(io::Error::new(
                io::ErrorKind::AddrInUse,
                format!("`{name}` is taken: drop its listener first, or choose another name"),
            ));
        }
        let (sender, incoming) = mpsc::channel(BACKLOG);
        let listening = Listening {
            sender: sender.clone(),
            host: self.host.clone(),
        };
        registry.listening.insert(name.to_owned(), listening);
        Ok(MemoryListener {
            names: self.clone(),
            name: name.to_owned(),
            sender: sender.downgrade(),
            incoming,
        })
    }

    /// Takes one latency to reach the listener and one to hear of it, as SYN and SYN-ACK do.
    pub(crate) async fn connect(&self, name: &str) -> io::Result<MemoryStream> {
        self.is_up()?;
        let latency = lock(&self.registry).latency.get(name).copied().unwrap_or_default();
        pass(latency).await;
        self.is_up()?;
        let listening = lock(&self.registry).listening.get(name).cloned();
        let (ours, theirs) = MemoryStream::pair(latency);
        let taken = match listening {
            Some(listening) => {
                // Before anybody waits: whoever is severed meanwhile loses this connection too.
                remember(self.host.as_ref(), &ours);
                remember(listening.host.as_ref(), &theirs);
                listening.sender.send(theirs).await.is_ok()
            }
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

    fn is_up(&self) -> io::Result<()> {
        match &self.host {
            Some(host) if host.is_severed() => Err(io::Error::new(
                io::ErrorKind::NetworkDown,
                "this host was severed from the network: its successor has a handle of its own",
            )),
            _ => Ok(()),
        }
    }

    pub(crate) fn set_latency(&self, name: &str, one_way: Duration) {
        lock(&self.registry).latency.insert(name.to_owned(), one_way);
    }
}

fn remember(host: Option<&Arc<Host>>, end: &MemoryStream) {
    if let Some(host) = host {
        host.remember(end.held());
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
    /// Tells this listener from another one that has the name by now.
    sender: mpsc::WeakSender<MemoryStream>,
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
        if let Some(ours) = self.sender.upgrade() {
            let mut registry = lock(&self.names.registry);
            let is_ours = |listening: &Listening| listening.sender.same_channel(&ours);
            if registry.listening.get(&self.name).is_some_and(is_ours) {
                registry.listening.remove(&self.name);
            }
        }
        self.incoming.close();
        while let Ok(mut waiting) = self.incoming.try_recv() {
            waiting.reset();
        }
    }
}
