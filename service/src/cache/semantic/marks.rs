//! What two questions have to agree on, however near they are: numbers, whether something is denied, names, opposites,
//! what comes from where, and every word where the form is the same.
//!
//! Near-misses are nearer than most paraphrases: "2" for "3" moves a point less than "please" does. Pure.

use std::collections::{BTreeMap, BTreeSet};

use super::template::Template;
use super::words::{English, Word, number, words};

const DENIALS: &str = "not no never none nobody nothing neither nor without unless except lack";

/// Words that exclude each other. If one text has one of a line and the other has another, they mean different things.
const OPPOSITES: &[&str] = &[
    "enable disable",
    "activate deactivate",
    "on off",
    "open close",
    "before after",
    "increase decrease",
    "raise lower",
    "upgrade downgrade",
    "buy sell rent lease",
    "start stop pause resume",
    "add remove",
    "install uninstall",
    "import load export",
    "upload download",
    "encrypt decrypt",
    "lock unlock",
    "send receive",
    "include exclude",
    "left right",
    "hot cold",
    "allow block",
    "accept reject decline",
    "arrive depart",
    "arrival departure",
    "first second third last",
    "next previous last",
    "hour hourly day week month year",
    "morning noon afternoon evening night",
    "monday tuesday wednesday thursday friday saturday sunday",
    "domestic international",
    "adult child",
    "public private",
    "read write",
    "push pull",
    "ascending descending",
    "minimum maximum min max",
    "north south east west",
    "more less fewer",
    "new old",
    "personal business",
    "online offline",
    "pay free",
    "checkin checkout",
    "debit credit",
    "where when who why",
    "cat dog",
    "man woman",
    "men women",
    "rows columns row column",
    "black white red green blue yellow",
    "small medium large",
    "economy business",
    "breakfast lunch dinner",
    "borrow lend",
    "gain lose",
    "incoming outgoing",
    "internal external",
    "inside outside",
    "today tomorrow yesterday",
    "create delete",
    "login logout register",
    "local remote",
    "temporary permanent",
    "single double multiple",
    "one-way round-trip",
];

/// What has to agree.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Marks {
    numbers: Vec<String>,
    /// What is counted: the word that follows a number.
    counted: BTreeMap<String, BTreeSet<String>>,
    denials: usize,
    names: BTreeSet<String>,
    /// All words as they stand, and each as the one that stands for it.
    said: BTreeSet<String>,
    meant: BTreeSet<String>,
    from: BTreeSet<String>,
    to: BTreeSet<String>,
    template: Template,
}

/// What is known of words that exclude each other.
#[derive(Debug)]
pub(super) struct Opposites(Vec<BTreeSet<String>>);

impl Opposites {
    pub(super) fn new(english: &English) -> Self {
        let line = |line: &&str| line.split(' ').map(|word| english.canonical(word)).collect();
        Self(OPPOSITES.iter().map(line).collect())
    }

    /// Whether one says a word and the other one that excludes it.
    fn part(&self, one: &Marks, other: &Marks) -> bool {
        let of = |line: &BTreeSet<String>, marks: &Marks| -> BTreeSet<String> {
            line.intersection(&marks.meant).cloned().collect()
        };
        self.0.iter().any(|line| {
            let (one, other) = (of(line, one), of(line, other));
            !one.is_empty() && !other.is_empty() && one.is_disjoint(&other)
        })
    }
}

impl Marks {
    pub(super) fn of(text: &str, english: &English) -> Self {
        let words = words(text);
        let mut marks = Self {
            meant: english.content(&words).into_iter().collect(),
            template: Template::of(&words, english),
            ..Self::default()
        };
        for word in &words {
            marks.note(word);
            marks.meant.insert(english.canonical(&word.text));
        }
        for pair in words.windows(2) {
            match pair[0].text.as_str() {
                "from" => marks.from.insert(pair[1].text.clone()),
                "to" | "into" => marks.to.insert(pair[1].text.clone()),
                _ => false,
            };
        }
        for (at, word) in words.iter().enumerate() {
            if let Some(number) = number(&word.text) {
                let next = words[at + 1..].iter().find(|next| !english.is_small(&next.text));
                let next = next.map(|next| english.canonical(&next.text));
                marks.counted.entry(number.clone()).or_default().extend(next);
                marks.numbers.push(number);
            }
        }
        marks.numbers.sort_unstable();
        marks
    }

    fn note(&mut self, word: &Word) {
        let text = word.text.as_str();
        if number(text).is_none() && word.is_name {
            self.names.insert(text.to_owned());
        }
        self.denials += usize::from(DENIALS.split(' ').any(|denial| denial == text));
        self.said.insert(text.to_owned());
    }

    /// Whether two texts can mean the same as far as their marks say.
    pub(super) fn agree(&self, other: &Self, opposites: &Opposites) -> bool {
        let named = |one: &Self, other: &Self| one.names.iter().all(|name| other.said.contains(name));
        let swapped = |one: &Self, other: &Self| one.from.intersection(&other.to).any(|place| !one.to.contains(place));
        self.numbers == other.numbers
            && self.counts_as(other)
            && self.denials == other.denials
            && named(self, other)
            && named(other, self)
            && !swapped(self, other)
            && !swapped(other, self)
            && !opposites.part(self, other)
            && !self.negates(other)
            && !other.negates(self)
            && !self.template.differs(&other.template)
    }

    /// Whether no number counts one thing here and another there.
    fn counts_as(&self, other: &Self) -> bool {
        self.counted.iter().all(|(number, things)| {
            let others = other.counted.get(number).filter(|others| !others.is_empty());
            others.is_none_or(|others| things.is_empty() || !things.is_disjoint(others))
        })
    }

    /// Whether the other says a word of this one's with the opposite meaning: `lock` and `unlock`.
    fn negates(&self, other: &Self) -> bool {
        let negated = |word: &&String| {
            let prefixes = ["un", "dis", "in", "non", "de"].iter();
            prefixes
                .map(|prefix| format!("{prefix}{word}"))
                .any(|word| other.meant.contains(&word))
        };
        self.meant
            .difference(&other.meant)
            .filter(|word| word.len() > 2)
            .any(|word| negated(&word))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn agree(one: &str, other: &str) -> bool {
        let english = English::new();
        let opposites = Opposites::new(&english);
        let (one, other) = (Marks::of(one, &english), Marks::of(other, &english));
        assert_eq!(one.agree(&other, &opposites), other.agree(&one, &opposites));
        one.agree(&other, &opposites)
    }

    #[test]
    fn near_misses_disagree() {
        let pairs = [
            ("Can I bring 2 bags?", "Can I bring 3 bags?"),
            ("Can I bring two bags?", "Can I bring 3 bags?"),
            ("Does it work with the app?", "Does it not work with the app?"),
            ("Does it work?", "It doesn't work, why?"),
            ("How do I fly to Rome?", "How do I fly to Paris?"),
            ("A train from Rome to Paris", "A train from Paris to Rome"),
            ("How do I enable alerts?", "How do I disable alerts?"),
            ("What does the monthly plan cost?", "What does the yearly plan cost?"),
            ("Is the box locked?", "Is the box unlocked?"),
            ("What does error E42 mean?", "What does error E43 mean?"),
            ("Where does it open?", "When does it open?"),
            (
                "How much is 250 euros in dollars?",
                "What do 250 US dollars come to in euros?",
            ),
            ("When can we check in?", "When must we check out?"),
        ];
        for (one, other) in pairs {
            assert!(!agree(one, other), "{one} | {other}");
        }
    }

    #[test]
    fn paraphrases_agree() {
        let pairs = [
            ("Can I bring two bags?", "May I bring 2 bags please"),
            ("How do I fly to Rome?", "how to fly to rome"),
            ("A train from Rome to Paris", "To Paris from Rome by train"),
            ("What's the monthly price?", "Tell me the price per month"),
            ("I can't log in", "I cannot log in"),
        ];
        for (one, other) in pairs {
            assert!(agree(one, other), "{one} | {other}");
        }
    }
}
