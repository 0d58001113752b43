//! A tape on disk: written line by line while exchanges end, read at once.
//!
//! Does not know what lines mean: that is `format`'s. A line that was cut off by the end of its recorder is no error.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use serde::Serialize;

use super::asked::Asked;
use super::error::TapeError;
use super::format::{Answer, Exchange, Header, VERSION};
use super::running::Work;

/// The longest tape. A player holds all of it in memory.
const MAX_TAPE: u64 = 1 << 30;

/// A tape that is being recorded.
#[derive(Debug)]
pub(super) struct Writer {
    file: Mutex<Lines>,
    work: Work,
}

impl Writer {
    /// Begins a tape of `upstream`'s answers, for its owner's eyes only: answers may be confidential.
    pub(super) fn create(path: &Path, upstream: &str, work: Work) -> Result<Self, TapeError> {
        let failed = |source| TapeError::Create {
            path: path.to_owned(),
            source,
        };
        let file = open_private(path).map_err(failed)?;
        if file.metadata().map_err(failed)?.len() > 0 {
            return Err(TapeError::Taken { path: path.to_owned() });
        }
        let mut lines = Lines { file, length: 0 };
        let header = Header {
            brownout_tape: VERSION,
            upstream: upstream.to_owned(),
        };
        lines.append(&header).map_err(failed)?;
        Ok(Self {
            file: Mutex::new(lines),
            work,
        })
    }

    /// Adds an exchange; what can't be written is counted as missed.
    pub(super) fn append(&self, exchange: &Exchange) {
        let mut lines = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        match lines.append(exchange) {
            Ok(()) => self.work.count(),
            Err(_) => self.work.miss(),
        }
    }

    /// There was an exchange of which nothing can be stored.
    pub(super) fn miss(&self) {
        self.work.miss();
    }
}

#[derive(Debug)]
struct Lines {
    file: File,
    /// Bytes of whole lines.
    length: u64,
}

impl Lines {
    fn append(&mut self, line: &impl Serialize) -> io::Result<()> {
        let mut bytes = serde_json::to_vec(line)?;
        bytes.push(b'\n');
        let length = self.length + bytes.len() as u64;
        if length > MAX_TAPE {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        let written = self.file.write_all(&bytes).and_then(|()| self.file.flush());
        match written {
            Ok(()) => self.length = length,
            // Half a line would spoil the next one.
            Err(_) => self.file.set_len(self.length)?,
        }
        written
    }
}

#[cfg(unix)]
fn open_private(path: &Path) -> io::Result<File> {
    use std::fs::Permissions;
    use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};

    let file = OpenOptions::new().append(true).create(true).mode(0o600).open(path)?;
    // An empty file that was there already has kept its mode.
    file.set_permissions(Permissions::from_mode(0o600))?;
    Ok(file)
}

#[cfg(not(unix))]
fn open_private(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).open(path)
}

/// Reads a tape: what was asked, and what was answered, in the order in which it was stored.
pub(super) fn read(path: &Path) -> Result<Vec<(Asked, Answer)>, TapeError> {
    let failed = |source| TapeError::Read {
        path: path.to_owned(),
        source,
    };
    let file = File::open(path).map_err(failed)?;
    if file.metadata().map_err(failed)?.len() > MAX_TAPE {
        return Err(TapeError::TooLarge {
            path: path.to_owned(),
            limit_mib: MAX_TAPE >> 20,
        });
    }
    let mut lines = BufReader::new(file);
    let (mut line, mut number, mut exchanges) = (Vec::new(), 0, Vec::new());
    while lines.read_until(b'\n', &mut line).map_err(failed)? > 0 {
        number += 1;
        let is_cut = line.last() != Some(&b'\n');
        if number == 1 {
            check_header(path, &line)?;
        } else if !line.trim_ascii().is_empty() {
            match exchange(&line) {
                Ok(exchange) => exchanges.push(exchange),
                // Its recorder was killed in the middle of it.
                Err(_) if is_cut => {}
                Err(why) => return Err(refused(path, number, why)),
            }
        }
        line.clear();
    }
    match (number, exchanges.is_empty()) {
        (0, _) => Err(TapeError::NotATape { path: path.to_owned() }),
        (_, true) => Err(TapeError::Empty { path: path.to_owned() }),
        (_, false) => Ok(exchanges),
    }
}

fn check_header(path: &Path, line: &[u8]) -> Result<(), TapeError> {
    let path = PathBuf::from(path);
    match serde_json::from_slice::<Header>(line) {
        Err(_) => Err(TapeError::NotATape { path }),
        Ok(header) if header.brownout_tape != VERSION => Err(TapeError::Version {
            path,
            found: header.brownout_tape,
            expected: VERSION,
        }),
        Ok(_) => Ok(()),
    }
}

fn exchange(line: &[u8]) -> Result<(Asked, Answer), String> {
    let raw: Exchange = serde_json::from_slice(line).map_err(|error| error.to_string())?;
    raw.checked()
}

fn refused(path: &Path, line: usize, why: String) -> TapeError {
    TapeError::Line {
        path: path.to_owned(),
        line,
        why,
    }
}

#[cfg(test)]
mod tests {
    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::tape::Running;

    const HEADER: &str = r#"{"brownout_tape":1,"upstream":"https://api.openai.com"}"#;
    const EXCHANGE: &str = r#"{"request":{"method":"GET","path":"/","body_hash":"0"},"response":{"status":200,"headers":[],"head_at_us":1,"pieces":[{"at_us":2,"text":"hi"}],"end":"complete","ended_at_us":3}}"#;

    fn written(text: &str) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("day.tape");
        std::fs::write(&path, text).unwrap();
        (folder, path)
    }

    fn refusal(text: &str) -> String {
        let (_folder, path) = written(text);
        let error = read(&path).unwrap_err().to_string();
        error.replace(&path.display().to_string(), "day.tape")
    }

    #[test]
    fn what_is_no_tape_is_refused_with_file_line_and_remedy() {
        for (text, said) in [
            (
                "",
                "day.tape:1: not a tape: its first line should be {\"brownout_tape\":1,...}. Name a file",
            ),
            ("{}\n", "day.tape:1: not a tape"),
            (
                "{\"brownout_tape\":2}\n",
                "day.tape:1: a tape of version 2, this brownout reads version 1",
            ),
            (&format!("{HEADER}\n"), "day.tape holds no exchange: record one first"),
            (
                &format!("{HEADER}\n{EXCHANGE}\n{{}}\n"),
                "day.tape:3: not a recorded exchange: missing field `request`",
            ),
            (
                &format!("{HEADER}\n{}\n", EXCHANGE.replace("200", "99")),
                "day.tape:2: not a recorded exchange: `status` 99 is not one from 200 to 999. Mend",
            ),
            (
                &format!(
                    "{HEADER}\n{}\n",
                    EXCHANGE.replace("\"head_at_us", "\"length\":3,\"head_at_us")
                ),
                "day.tape:2: not a recorded exchange: `length` does not fit: the pieces hold 2 bytes",
            ),
            (
                &format!(
                    "{HEADER}\n{}\n",
                    EXCHANGE.replace("\"text\":\"hi\"", "\"text\":\"hi\",\"base64\":\"\"")
                ),
                "day.tape:2: not a recorded exchange: a piece has either",
            ),
        ] {
            let refusal = refusal(text);
            assert!(refusal.starts_with(said), "{refusal}");
        }
        let missing = read(Path::new("no/such.tape")).unwrap_err().to_string();
        assert!(missing.starts_with("cannot read the tape no/such.tape"), "{missing}");
    }

    #[test]
    fn a_tape_whose_last_line_was_cut_off_keeps_the_lines_before() {
        for cut in [1, EXCHANGE.len() / 2, EXCHANGE.len() - 1] {
            let (_folder, path) = written(&format!("{HEADER}\n{EXCHANGE}\n{}", &EXCHANGE[..cut]));
            assert_eq!(read(&path).unwrap().len(), 1);
        }
        let (_folder, path) = written(&format!("{HEADER}\n{EXCHANGE}\n{EXCHANGE}"));
        assert_eq!(read(&path).unwrap().len(), 2);
    }

    #[test]
    fn a_file_that_holds_something_is_not_recorded_over() {
        let (_folder, path) = written("precious");
        let (_running, work) = Running::new(String::new(), CancellationToken::new());
        let error = Writer::create(&path, "https://api.openai.com", work).unwrap_err();
        assert!(error.to_string().contains("holds something already"), "{error}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "precious");
    }

    #[cfg(unix)]
    #[test]
    fn a_tape_is_for_its_owners_eyes_only() {
        use std::os::unix::fs::PermissionsExt;

        let (folder, existing) = written("");
        for path in [existing, folder.path().join("new.tape")] {
            let (_running, work) = Running::new(String::new(), CancellationToken::new());
            Writer::create(&path, "https://api.openai.com", work).unwrap();
            assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        }
    }
}
