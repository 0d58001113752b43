//! What comes with the crate: profiles (how a provider fares) and model classes (how fast a model is).
//!
//! Each is a provider block without name, model and price, in a file of its own that says where its numbers come from.
//! `resolve` lays them under the block that names them.

macro_rules! bundled {
    ($folder:literal: $($name:literal),*) => {
        [$(($name, include_str!(concat!("../profiles/", $folder, $name, ".toml")))),*]
    };
}

const PROFILES: [(&str, &str); 4] = bundled!("": "calm", "typical", "bad-day", "outage");

const MODEL_CLASSES: [(&str, &str); 8] = bundled!(
    "model-class/": "hosted", "small-fast", "mid", "frontier", "reasoning", "local-8b-h100", "local-70b-8xh100", "local-405b-8xh100"
);

/// The profiles, by name, each with the text of its file.
pub fn profiles() -> impl Iterator<Item = (&'static str, &'static str)> {
    PROFILES.into_iter()
}

/// The model classes, by name, each with the text of its file.
pub fn model_classes() -> impl Iterator<Item = (&'static str, &'static str)> {
    MODEL_CLASSES.into_iter()
}
