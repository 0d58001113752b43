//! One process of the target as a child: its own process group, a lifeline, a bounded start and a bounded end.
//!
//! The child's standard input is the lifeline: when the harness closes it, or dies in whatever way, the child ends by
//! itself. Nothing but this child is ever signalled.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::{Child as Process, ChildStdin, Command};

use crate::mount::{HostSpec, Mount, MountError, Role};

/// Longest a child may take to be ready.
const LONGEST_START: Duration = Duration::from_secs(20);
/// Of what a child says before it dies, this much is repeated.
const LONGEST_LAST_WORDS: u64 = 4096;

/// A child that is ready.
pub(crate) struct Child {
    process: Process,
    /// Apart from the process, which closes its standard input when its end is waited for.
    lifeline: Option<ChildStdin>,
    authority: Option<String>,
}

impl Child {
    /// Starts the child and waits until it says that it is ready.
    pub(crate) async fn start(
        mount: &impl Mount,
        role: Role,
        spec: &HostSpec,
        variant_dir: &Path,
    ) -> Result<Self, MountError> {
        let dir = variant_dir.join(&spec.name);
        std::fs::create_dir_all(&dir).map_err(|e| MountError(format!("cannot create {}: {e}", dir.display())))?;
        let command = mount
            .command(role, spec, &dir, variant_dir)
            .map_err(|e| MountError(format!("{} could not be prepared: {e}", spec.name)))?;
        let mut process = Command::from(command)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(|e| MountError(format!("{} could not be started: {e}", spec.name)))?;
        match tokio::time::timeout(LONGEST_START, ready(&mut process)).await {
            Ok(Some(authority)) => {
                forward_quietly(&mut process);
                Ok(Self {
                    lifeline: process.stdin.take(),
                    process,
                    authority: authority.filter(|_| role == Role::Serve),
                })
            }
            Ok(None) => Err(MountError(format!(
                "{} ended before it was ready: {}",
                spec.name,
                last_words(&mut process).await
            ))),
            Err(_) => Err(MountError(format!(
                "{} was not ready within {} s; it must print `listening on ADDRESS`",
                spec.name,
                LONGEST_START.as_secs()
            ))),
        }
    }

    /// Where it answers, if it serves.
    pub(crate) fn authority(&self) -> Option<&str> {
        self.authority.as_deref()
    }

    /// Waits for its end: `Ok` if it was in good order. Dropping the future loses nothing.
    pub(crate) async fn ended(&mut self) -> Result<(), MountError> {
        match self.process.wait().await {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => Err(MountError(status.to_string())),
            Err(error) => Err(MountError(format!("it cannot be asked whether it is up: {error}"))),
        }
    }

    /// Sends SIGTERM. Of this child only, by its number, which stays its own until its end was waited for.
    pub(crate) async fn terminate(&mut self) {
        let Some(id) = self.process.id() else {
            return;
        };
        let mut kill = Command::new("kill");
        kill.args(["-s", "TERM", &id.to_string()]);
        let sent = kill
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .await;
        if !sent.is_ok_and(|status| status.success()) {
            // No such command, or no such process: the other way to ask for an end in good order.
            self.cut_lifeline();
        }
    }

    /// Closes the lifeline: the child ends in good order.
    pub(crate) fn cut_lifeline(&mut self) {
        self.lifeline = None;
    }

    /// Sends SIGKILL.
    pub(crate) fn kill(&mut self) {
        // Already gone is as good as killed.
        let _ = self.process.start_kill();
    }
}

/// The address (`None` for a worker) once the child is ready; `None` if it ended first.
async fn ready(process: &mut Process) -> Option<Option<String>> {
    let mut lines = BufReader::new(process.stdout.as_mut()?).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        if let Some(address) = line.strip_prefix("listening on ") {
            return Some(Some(address.trim().to_owned()));
        }
        if line == "working" {
            return Some(None);
        }
    }
    None
}

/// Keeps reading what the child prints, so that a full pipe never stops it.
fn forward_quietly(process: &mut Process) {
    if let Some(mut stdout) = process.stdout.take() {
        tokio::spawn(async move { tokio::io::copy(&mut stdout, &mut tokio::io::sink()).await });
    }
    if let Some(mut stderr) = process.stderr.take() {
        tokio::spawn(async move { tokio::io::copy(&mut stderr, &mut tokio::io::sink()).await });
    }
}

async fn last_words(process: &mut Process) -> String {
    let mut words = String::new();
    if let Some(stderr) = process.stderr.take() {
        let _ = stderr.take(LONGEST_LAST_WORDS).read_to_string(&mut words).await;
    }
    let words = words.trim();
    if words.is_empty() {
        "it said nothing".to_owned()
    } else {
        words.to_owned()
    }
}
