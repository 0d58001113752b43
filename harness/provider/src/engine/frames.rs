//! Writes the frames of a stream as its course has them: with what is odd on the way, to whatever end.
//!
//! Does not know when anything is due.

use crate::desk::Desk;
use crate::dialect::Frames;
use crate::script::{Course, Ending, Quirk};

/// Writes the frames of tokens `from..until`, the opening before the first.
pub(super) fn write(frames: &dyn Frames, course: &Course, (from, until): (u64, u64), out: &mut String) {
    if from == 0 {
        frames.opening(out);
    }
    for index in from..until {
        if course.quirk == Some(Quirk::MalformedBefore(index)) {
            frames.malformed(index, out);
        }
        frames.token(index, out);
        if course.quirk == Some(Quirk::Twice(index)) {
            frames.token(index, out);
        }
    }
}

/// Writes what comes after the last token.
pub(super) fn write_end(frames: &dyn Frames, course: &Course, model: &str, out: &mut String) {
    match course.ending {
        Ending::Complete => {
            frames.ending(out);
            frames.terminator(out);
        }
        Ending::NoTerminator => frames.ending(out),
        Ending::Error(status) => frames.error(&Desk::error_event(status, model), out),
        Ending::CleanEof | Ending::Fin | Ending::Reset | Ending::Silence => {}
    }
}
