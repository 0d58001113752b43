//! A provider in a process of its own, from its first line to its last.
//!
//! Does not know what it plays, nor on which engine: whatever says `listening on http://ADDRESS` first and stops on
//! SIGINT will do.

use std::io::{self, ErrorKind};
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::timeout;

/// From the start of the process to its first line.
const STARTS_WITHIN: Duration = Duration::from_secs(20);

/// From SIGINT to the end of the process, with its ledger written.
const ENDS_WITHIN: Duration = Duration::from_secs(30);

/// A provider that runs. Dropped, it is killed.
#[derive(Debug)]
pub struct Served {
    /// Host and port.
    pub authority: String,
    /// The process.
    pub pid: u32,
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Served {
    /// Starts `program`, which lies beside the program that runs now, and waits until it listens.
    pub async fn start(program: &str, arguments: &[&str]) -> io::Result<Self> {
        let path = beside(program)?;
        let mut child = Command::new(&path)
            .args(arguments)
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| io::Error::other(format!("{} does not start: {error}", path.display())))?;
        let (Some(pid), Some(out)) = (child.id(), child.stdout.take()) else {
            return Err(io::Error::other(format!("{program} ended at once")));
        };
        let mut lines = BufReader::new(out).lines();
        let first = timeout(STARTS_WITHIN, lines.next_line()).await??.unwrap_or_default();
        let authority = first.split_once("http://").map(|(_, rest)| rest);
        let authority = authority.and_then(|rest| rest.split(['/', ' ']).next());
        match authority {
            Some(authority) => Ok(Self {
                authority: authority.to_owned(),
                pid,
                child,
                lines,
            }),
            None => Err(io::Error::other(format!(
                "{program} did not say where it listens, but `{first}`"
            ))),
        }
    }

    /// Asks it to end, and returns the last line it wrote.
    pub async fn end(mut self) -> io::Result<String> {
        let asked = Command::new("kill")
            .args(["-INT", &self.pid.to_string()])
            .status()
            .await?;
        if !asked.success() {
            return Err(io::Error::other("the provider had ended before it was asked to"));
        }
        let ended = async {
            let mut last = String::new();
            while let Some(line) = self.lines.next_line().await? {
                last = line;
            }
            self.child.wait().await?;
            Ok(last)
        };
        match timeout(ENDS_WITHIN, ended).await {
            Ok(last) => last,
            Err(_) => Err(io::Error::new(ErrorKind::TimedOut, "the provider does not end")),
        }
    }
}

/// The path of a program that was built together with this one.
fn beside(program: &str) -> io::Result<PathBuf> {
    let path = std::env::current_exe()?.with_file_name(program);
    if path.exists() {
        return Ok(path);
    }
    let message = format!(
        "{} is missing: cargo build --release -p brownout -p brownout-benches",
        path.display()
    );
    Err(io::Error::new(ErrorKind::NotFound, message))
}
