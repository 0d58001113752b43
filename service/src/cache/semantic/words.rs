//! A question as its words: small, without their endings, and with one word for those that mean the same.
//!
//! English only, and no more than a page of it: enough to see through "could you please tell me how to". What it does not
//! know stays as it is.

use std::collections::{BTreeMap, BTreeSet};

/// Words that say how something is asked, not what.
const SMALL: &str = "a an and any anyone are as at be been being but by can could d did do does doing else ever for from \
     get give go going good had happen has have having hello help hey hi how i if in into is it its just kind kindly know \
     let like ll looking m made make may maybe me mean might my need of on onto or our ought out please possible question \
     quick re really s should show so some somehow someone something sort steps still sure tell than thank thanks that \
     the their them then there these they thing this those to try trying up us ve via want wanted was way we were what \
     whats which while will wish with wonder wondering work would yet you your";

/// Words of which each stands for all others in its line.
const SAME: &[&str] = &[
    "buy purchase order",
    "cancel terminate end",
    "change modify alter edit switch",
    "cost price fee charge expense",
    "delete remove erase",
    "begin start commence",
    "fix repair resolve solve",
    "find locate",
    "allow permit let",
    "enable activate",
    "disable deactivate",
    "login signin logon",
    "logout signout logoff",
    "register signup enroll",
    "mail email",
    "phone telephone mobile cellphone smartphone",
    "refund reimburse reimbursement",
    "return bring-back",
    "ship deliver delivery shipping shipment",
    "late delay delayed overdue",
    "bill invoice",
    "pay payment",
    "picture photo image",
    "movie film",
    "car automobile vehicle",
    "flight plane",
    "hotel accommodation",
    "luggage baggage suitcase bag",
    "child kid",
    "big large",
    "small little tiny",
    "quick fast rapid speedy",
    "broken defective faulty damaged",
    "error failure fault bug",
    "function method routine",
    "folder directory",
    "file document",
    "program application app software",
    "computer pc laptop",
    "update upgrade-to-latest refresh",
    "show display view see",
    "create make-new build generate",
    "choose select pick",
    "month monthly",
    "year yearly annual annually",
    "week weekly",
    "day daily",
    "maximum max highest most",
    "minimum min lowest least",
    "permit allowance",
    "holiday vacation",
    "job position",
    "doctor physician",
    "store shop",
    "combine merge join",
    "sort arrange",
    "count tally",
    "convert transform turn",
    "earn gain",
    "lose misplace",
    "require necessary mandatory",
    "credit-card card",
    "subscription plan membership",
    "address location",
    "open launch",
];

/// Two words that are one.
const PAIRS: &[(&str, &str, &str)] = &[
    ("log", "in", "login"),
    ("sign", "in", "login"),
    ("log", "on", "login"),
    ("log", "out", "logout"),
    ("sign", "out", "logout"),
    ("sign", "up", "register"),
    ("turn", "on", "enable"),
    ("switch", "on", "enable"),
    ("turn", "off", "disable"),
    ("switch", "off", "disable"),
    ("set", "up", "setup"),
    ("check", "in", "checkin"),
    ("check", "out", "checkout"),
    ("get", "rid", "delete"),
    ("take", "off", "delete"),
    ("how", "much", "cost"),
    ("how", "long", "duration"),
    ("how", "often", "frequency"),
    ("what", "time", "when"),
    ("e", "mail", "mail"),
    ("send", "back", "return"),
    ("give", "back", "return"),
];

/// Numbers that are written as words.
const NUMBERS: &[&str] = &[
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
];

/// A word as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Word {
    /// In small letters.
    pub(super) text: String,
    /// Whether it begins with a capital that no sentence gives it.
    pub(super) is_name: bool,
}

/// What is known of English.
#[derive(Debug)]
pub(super) struct English {
    small: BTreeSet<&'static str>,
    same: BTreeMap<String, &'static str>,
}

impl English {
    pub(super) fn new() -> Self {
        let classes = SAME.iter().flat_map(|class| {
            let first = class.split(' ').next().unwrap_or_default();
            class.split(' ').map(move |word| (stem(word), first))
        });
        let mut same = BTreeMap::new();
        for (word, first) in classes {
            same.entry(word).or_insert(first);
        }
        Self {
            small: SMALL.split_whitespace().collect(),
            same,
        }
    }

    /// The words that say what is asked, each as the one that stands for it.
    pub(super) fn content(&self, words: &[Word]) -> Vec<String> {
        let mut content = Vec::new();
        let mut at = 0;
        while let Some(word) = words.get(at) {
            let next = words.get(at + 1).map_or("", |next| next.text.as_str());
            let pair = PAIRS
                .iter()
                .find(|(first, second, _)| *first == word.text && *second == next);
            if let Some((_, _, one)) = pair {
                content.push(self.canonical(one));
                at += 2;
                continue;
            }
            if !self.is_small(&word.text) {
                content.push(self.canonical(&word.text));
            }
            at += 1;
        }
        content
    }

    /// Whether `word` says how something is asked, not what.
    pub(super) fn is_small(&self, word: &str) -> bool {
        self.small.contains(word)
    }

    /// The word that stands for `word` and all that mean the same.
    pub(super) fn canonical(&self, word: &str) -> String {
        if let Some(number) = number(word) {
            return number;
        }
        let stem = stem(word);
        self.same.get(&stem).map_or(stem, |first| (*first).to_owned())
    }
}

/// A number, in digits or as a small word. "Which one" counts nothing.
pub(super) fn number(text: &str) -> Option<String> {
    if text.contains(|c: char| c.is_ascii_digit()) {
        return Some(text.to_owned());
    }
    let n = NUMBERS.iter().position(|number| *number == text)?;
    (n != 1).then(|| n.to_string())
}

/// The words of a text, in order. Numbers keep their points and lose their commas.
pub(super) fn words(text: &str) -> Vec<Word> {
    let mut words = Vec::new();
    let (mut word, mut begins) = (String::new(), true);
    let letters: Vec<char> = text.chars().collect();
    for (at, letter) in letters.iter().copied().chain([' ']).enumerate() {
        let neighbours = at
            .checked_sub(1)
            .and_then(|before| Some((letters.get(before)?, letters.get(at + 1)?)));
        let within = |fits: fn(char) -> bool| neighbours.is_some_and(|(before, after)| fits(*before) && fits(*after));
        match letter {
            letter if letter.is_alphanumeric() => word.push(letter),
            '.' | ':' if within(is_digit) => word.push(letter),
            ',' if within(is_digit) => {}
            '\'' | '\u{2019}' if within(char::is_alphabetic) => word.push('\''),
            other => {
                if !word.is_empty() {
                    push(&mut words, &word, begins);
                    word.clear();
                    begins = false;
                }
                begins |= matches!(other, '.' | '!' | '?' | ':' | ';' | '\n');
            }
        }
    }
    words
}

const fn is_digit(c: char) -> bool {
    c.is_ascii_digit()
}

fn push(words: &mut Vec<Word>, word: &str, begins: bool) {
    let shouted = word.chars().filter(|c| c.is_uppercase()).count() > 1;
    let capital = word.chars().next().is_some_and(char::is_uppercase);
    let is_name = shouted || (capital && !begins && !word.starts_with("I'") && word != "I");
    let text = word.to_lowercase();
    // Contractions are two words; a possessive is none.
    let (head, tail) = text.split_once('\'').unwrap_or((&text, ""));
    let mut put = |text: &str, is_name| {
        let text = text.to_owned();
        words.push(Word { text, is_name });
    };
    let denied = match (head, tail) {
        ("can", "t") | ("cannot", _) => "can",
        ("won", "t") => "will",
        (head, "t") => head.strip_suffix('n').unwrap_or(head),
        _ => return put(head, is_name),
    };
    put(denied, false);
    put("not", false);
}

/// A word without its ending. Coarse: what matters is that forms of one word come out alike.
pub(super) fn stem(word: &str) -> String {
    let long = |stem: &&str| stem.chars().count() >= 3;
    let cut = |suffix| word.strip_suffix(suffix).filter(long);
    let plain = if let Some(stem) = cut("ies") {
        return format!("{stem}y");
    } else if let Some(stem) = cut("ing").or_else(|| cut("ed")) {
        undoubled(stem)
    } else if word.ends_with("ss") || word.ends_with("us") || word.ends_with("is") {
        word
    } else {
        cut("es")
            .filter(|stem| stem.ends_with(['s', 'x', 'z', 'h']))
            .or_else(|| cut("s"))
            .unwrap_or(word)
    };
    let plain = plain.strip_suffix('e').filter(|stem| stem.len() > 4).unwrap_or(plain);
    plain.to_owned()
}

/// `cancell` as `cancel`.
fn undoubled(stem: &str) -> &str {
    let mut last = stem.chars().rev();
    match (last.next(), last.next()) {
        (Some(one), Some(two)) if one == two && !matches!(one, 's' | 'e' | 'o') && stem.len() > 4 => {
            &stem[..stem.len() - one.len_utf8()]
        }
        _ => stem,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content(text: &str) -> Vec<String> {
        English::new().content(&words(text))
    }

    #[test]
    fn how_a_thing_is_asked_makes_no_difference() {
        let same = [
            "How do I cancel my subscription?",
            "Hi, could you please tell me how to cancel a subscription",
            "cancelling my subscriptions - how?",
            "I'd like to cancel my plan. How can I do that?",
        ];
        for text in same {
            assert_eq!(content(text), ["cancel", "subscription"], "{text}");
        }
        assert_eq!(content("How do I sign in?"), content("how to log in"));
    }

    #[test]
    fn numbers_stay_whole_and_names_are_known_by_their_capitals() {
        let read = words("Is USB 2.0 at 1,000 MB/s fine for Rome? Yes, I'm in Paris, isn't it 10:30.");
        let names: Vec<&str> = read
            .iter()
            .filter(|word| word.is_name)
            .map(|word| word.text.as_str())
            .collect();
        assert_eq!(names, ["usb", "mb", "rome", "paris"]);
        let all: Vec<&str> = read.iter().map(|word| word.text.as_str()).collect();
        for word in ["2.0", "1000", "10:30", "not"] {
            assert!(all.contains(&word), "{word} in {all:?}");
        }
    }

    #[test]
    fn any_text_has_words_without_harm() {
        for text in [
            "",
            " ",
            "''",
            "\u{1f6f0}\u{301}",
            "a'",
            "'t",
            "\u{130}\u{df}",
            "....",
            "1,",
            ",1",
        ] {
            let _ = content(text);
        }
    }
}
