//! Throwaway servers for tests: PostgreSQL and Redis on free loopback ports, in folders that go away with them.
//!
//! A test that needs one asks for it; where the program is missing it is told so, aloud, and nothing else happens. In CI
//! (`CI` is set) a missing program is a failure. Shared by unit tests and integration tests of several crates.

use std::io::Write as _;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// Where distributions put the programs of PostgreSQL, beside the PATH.
const POSTGRES: &str = "/usr/lib/postgresql";
/// Polls until a server answers: 20 s.
const POLLS: u32 = 400;

/// A server that ends with its test.
pub(crate) struct Server {
    process: Child,
    port: u16,
    _folder: tempfile::TempDir,
}

impl Server {
    /// A PostgreSQL server. User `brownout` needs no password and `guarded` has the password `right`; database `postgres`.
    pub(crate) fn postgres() -> Option<Self> {
        let found = postgres_programs();
        let programs = needed("PostgreSQL", found)?;
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        own(folder.path());
        let made = command(&programs.join("initdb"))
            .args([
                "--no-sync",
                "--auth=trust",
                "--username=brownout",
                "--encoding=UTF8",
                "--pgdata",
            ])
            .arg(&data)
            .stdout(Stdio::null())
            .status();
        assert!(made.unwrap().success(), "initdb failed");
        std::fs::write(
            data.join("pg_hba.conf"),
            "host all guarded 127.0.0.1/32 scram-sha-256\nhost all all 127.0.0.1/32 trust\n",
        )
        .unwrap();
        let port = free_port();
        let process = command(&programs.join("postgres"))
            .args(["-p", &port.to_string(), "-c", "listen_addresses=127.0.0.1"])
            .args([
                "-c",
                "unix_socket_directories=",
                "-c",
                "fsync=off",
                "-c",
                "max_connections=60",
            ])
            .arg("-D")
            .arg(&data)
            .stdout(Stdio::null())
            .stderr(log_file(folder.path()))
            .spawn()
            .unwrap();
        let server = Self::ready(process, port, folder);
        Some(server)
    }

    /// A Redis server that keeps nothing on disk.
    pub(crate) fn redis() -> Option<Self> {
        Self::redis_with(&[])
    }

    /// A Redis server with more arguments.
    pub(crate) fn redis_with(arguments: &[&str]) -> Option<Self> {
        let program = needed("Redis", on_path("redis-server"))?;
        let folder = tempfile::tempdir().unwrap();
        let port = free_port();
        let process = Command::new(program)
            .args([
                "--port",
                &port.to_string(),
                "--bind",
                "127.0.0.1",
                "--save",
                "",
                "--dir",
            ])
            .arg(folder.path())
            .args(arguments)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Some(Self::ready(process, port, folder))
    }

    fn ready(mut process: Child, port: u16, folder: tempfile::TempDir) -> Self {
        for _ in 0..POLLS {
            // PostgreSQL listens before it is ready, and says in its log when it is.
            let said = log(folder.path());
            if (said.is_empty() || said.contains("ready to accept connections"))
                && TcpStream::connect(("127.0.0.1", port)).is_ok()
            {
                return Self {
                    process,
                    port,
                    _folder: folder,
                };
            }
            assert!(
                process.try_wait().unwrap().is_none(),
                "the server ended: {}",
                log(folder.path())
            );
            pause();
        }
        let _ = process.kill();
        panic!("the server did not answer: {}", log(folder.path()));
    }

    /// `postgres://user@.../database`.
    pub(crate) fn postgres_url(&self, user: &str, database: &str) -> String {
        format!("postgres://{user}@127.0.0.1:{}/{database}", self.port)
    }

    /// `redis://...`.
    pub(crate) fn redis_url(&self) -> String {
        format!("redis://127.0.0.1:{}/", self.port)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // PostgreSQL takes its own children along on this one; a server that ignores it is killed.
        let pid = self.process.id().to_string();
        let _ = Command::new("kill").args(["-QUIT", &pid]).status();
        for _ in 0..40 {
            if self.process.try_wait().is_ok_and(|ended| ended.is_some()) {
                return;
            }
            pause();
        }
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A program, or a word about its absence.
fn needed(name: &str, found: Option<PathBuf>) -> Option<PathBuf> {
    if found.is_none() {
        assert!(
            std::env::var_os("CI").is_none(),
            "{name} is not installed here; in CI it must be"
        );
        // Past the test's own output, which nobody sees when it passes.
        let words = format!("SKIPPED: {name} is not installed here, so nothing was tested with it\n");
        let _ = std::io::stderr().write_all(words.as_bytes());
    }
    found
}

fn on_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|folder| folder.join(program))
        .find(|file| file.is_file())
}

/// The folder with `initdb` and `postgres`; of several versions the last.
fn postgres_programs() -> Option<PathBuf> {
    if let Some(program) = on_path("initdb") {
        return program.parent().map(Path::to_owned);
    }
    let versions = std::fs::read_dir(POSTGRES).ok()?;
    let mut folders: Vec<PathBuf> = versions
        .filter_map(|entry| Some(entry.ok()?.path().join("bin")))
        .filter(|folder| folder.join("initdb").is_file())
        .collect();
    folders.sort();
    folders.pop()
}

/// PostgreSQL refuses to run as root.
fn command(program: &Path) -> Command {
    if !is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command
        .args(["--reuid=postgres", "--regid=postgres", "--clear-groups"])
        .arg(program)
        .current_dir("/");
    command
}

fn own(folder: &Path) {
    if is_root() {
        let owned = Command::new("chown").arg("postgres").arg(folder).status().unwrap();
        assert!(owned.success(), "the folder cannot be given to the user postgres");
    }
}

fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output().unwrap();
    id.stdout == b"0\n"
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

/// With a first line, so that a server that has said nothing yet is not taken for one that never does.
fn log_file(folder: &Path) -> std::fs::File {
    let mut file = std::fs::File::create(folder.join("log")).unwrap();
    writeln!(file, "starting").unwrap();
    file
}

/// What it said: PostgreSQL, that is; Redis says nothing.
fn log(folder: &Path) -> String {
    std::fs::read_to_string(folder.join("log")).unwrap_or_default()
}

#[expect(
    clippy::disallowed_methods,
    reason = "it waits for a process, which lives in real time"
)]
fn pause() {
    std::thread::sleep(Duration::from_millis(50));
}
