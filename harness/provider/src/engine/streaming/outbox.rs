//! What is to leave next: whole pieces as they come, or small ones with pauses.
//!
//! Pure: the caller brings the time. What a piece means for the ledger is told when its last byte has left.

use std::collections::VecDeque;

use brownout_scenario::units::Micros;
use bytes::Bytes;

/// Bytes with a meaning for the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Piece {
    /// The bytes.
    pub(super) bytes: Bytes,
    /// Visible tokens that have been handed over once they have left.
    pub(super) tokens: u64,
    /// Nothing of the answer comes after them.
    pub(super) last: bool,
}

/// Pieces on their way.
#[derive(Debug)]
pub(super) struct Outbox {
    pieces: VecDeque<Piece>,
    /// Bytes at once, and the pause between them.
    slices: Option<(usize, Micros)>,
    next: Micros,
}

/// What leaves.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Leaving {
    /// These bytes; and this piece's meaning, if they were its last.
    Now(Bytes, Option<(u64, bool)>),
    /// Nothing before then.
    At(Micros),
    /// Nothing, for there is nothing.
    Empty,
}

impl Outbox {
    /// Nothing on its way. With `slices`, so many bytes leave at once, and then there is a pause.
    pub(super) fn new(slices: Option<(u64, Micros)>) -> Self {
        Self {
            pieces: VecDeque::new(),
            slices: slices.map(|(bytes, every)| (bytes.max(1) as usize, every)),
            next: Micros::ZERO,
        }
    }

    /// Puts a piece at the end.
    pub(super) fn put(&mut self, piece: Piece) {
        self.pieces.push_back(piece);
    }

    /// Takes what may leave now.
    pub(super) fn take(&mut self, now: Micros) -> Leaving {
        let Some(piece) = self.pieces.front_mut() else {
            return Leaving::Empty;
        };
        let mut bytes = piece.bytes.len();
        if let Some((slice, every)) = self.slices {
            if now < self.next {
                return Leaving::At(self.next);
            }
            bytes = bytes.min(slice);
            self.next = now.plus(every);
        }
        let slice = piece.bytes.split_to(bytes);
        if !piece.bytes.is_empty() {
            return Leaving::Now(slice, None);
        }
        let meaning = (piece.tokens, piece.last);
        self.pieces.pop_front();
        Leaving::Now(slice, Some(meaning))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn piece(text: &'static str, tokens: u64, last: bool) -> Piece {
        Piece {
            bytes: Bytes::from_static(text.as_bytes()),
            tokens,
            last,
        }
    }

    #[test]
    fn without_slices_pieces_leave_whole_and_at_once() {
        let mut outbox = Outbox::new(None);
        outbox.put(piece("abc", 1, false));
        outbox.put(piece("de", 2, true));
        assert_eq!(outbox.take(Micros(5)), Leaving::Now("abc".into(), Some((1, false))));
        assert_eq!(outbox.take(Micros(5)), Leaving::Now("de".into(), Some((2, true))));
        assert_eq!(outbox.take(Micros(5)), Leaving::Empty);
    }

    #[test]
    fn slices_leave_with_pauses_and_a_piece_counts_with_its_last_byte() {
        let mut outbox = Outbox::new(Some((2, Micros(10))));
        outbox.put(piece("abc", 1, false));
        outbox.put(piece("d", 2, true));
        assert_eq!(outbox.take(Micros(5)), Leaving::Now("ab".into(), None));
        assert_eq!(outbox.take(Micros(14)), Leaving::At(Micros(15)));
        assert_eq!(outbox.take(Micros(15)), Leaving::Now("c".into(), Some((1, false))));
        assert_eq!(outbox.take(Micros(15)), Leaving::At(Micros(25)));
        assert_eq!(outbox.take(Micros(30)), Leaving::Now("d".into(), Some((2, true))));
    }
}
