//! Which caller a key belongs to. Keys are known by their SHA-256 alone.
//!
//! Plain SHA-256 is enough because keys are long and random: there is nothing to guess. Does not know what a key may do.

use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};

use super::Caller;
use crate::settings::{Digest, KeySettings};

/// A key, as far as looking it up goes.
#[derive(Debug)]
pub(super) struct Key {
    sum: Digest,
    pub(super) caller: Caller,
    pub(super) disabled: bool,
}

/// All keys of an instance.
#[derive(Debug)]
pub(super) struct Keys(Vec<Key>);

impl Keys {
    pub(super) fn new(keys: &[KeySettings]) -> Self {
        let keys = keys.iter().map(|key| Key {
            sum: key.sha256,
            caller: Caller {
                name: key.name.clone(),
                tenant: key.tenant().to_owned(),
            },
            disabled: key.disabled,
        });
        Self(keys.collect())
    }

    /// The key that was shown. Looks at every entry to its end, found or not, so that the time it takes says nothing.
    pub(super) fn find(&self, shown: &str) -> Option<&Key> {
        let sum = Digest::of(shown.as_bytes());
        // Index 0 is nobody: the entries count from 1.
        let mut found = 0_u64;
        for (n, key) in (1..).zip(&self.0) {
            let same: Choice = key.sum.bytes().ct_eq(sum.bytes());
            found.conditional_assign(&n, same);
        }
        let index = usize::try_from(found.checked_sub(1)?).ok()?;
        self.0.get(index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Settings;

    fn keys() -> Keys {
        let sum = |key: &str| Digest::of(key.as_bytes()).to_hex();
        let settings = serde_json::json!({ "keys": [
            { "name": "first", "sha256": sum("one") },
            { "name": "second", "sha256": sum("two"), "tenant": "shared", "disabled": true },
            { "name": "third", "sha256": sum("three"), "tenant": "shared" },
        ] });
        let settings = Settings::from_map(settings.as_object().unwrap().clone()).unwrap();
        Keys::new(&settings.keys)
    }

    #[test]
    fn a_key_is_found_wherever_it_stands_and_opens_its_tenant() {
        let keys = keys();
        let found = |shown| keys.find(shown).map(|key| (key.caller.tenant.as_str(), key.disabled));
        assert_eq!(found("one"), Some(("first", false)));
        assert_eq!(found("two"), Some(("shared", true)));
        assert_eq!(found("three"), Some(("shared", false)));
    }

    #[test]
    fn what_is_not_a_key_belongs_to_nobody() {
        for shown in ["", "One", "one ", "onetwo", &Digest::of(b"one").to_hex()] {
            assert!(keys().find(shown).is_none(), "{shown}");
        }
    }

    #[test]
    fn a_sum_is_not_printed() {
        let shown = format!("{:?}", keys());
        assert!(!shown.contains(&Digest::of(b"one").to_hex()), "{shown}");
    }
}
