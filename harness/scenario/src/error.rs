//! What is wrong with a scenario file: one problem, where it stands, and what to write instead.

use std::ops::Range;

use miette::{Diagnostic, NamedSource, SourceSpan};

/// A scenario file that cannot be played.
#[derive(Debug, thiserror::Error, Diagnostic)]
#[error("{file}:{line}: {message}")]
pub struct ScenarioError {
    file: String,
    line: usize,
    message: String,
    #[source_code]
    source_code: NamedSource<String>,
    #[label("here")]
    at: SourceSpan,
    #[help]
    remedy: String,
}

impl ScenarioError {
    /// The file, as it was given.
    pub fn file(&self) -> &str {
        &self.file
    }

    /// The line, from 1.
    pub fn line(&self) -> usize {
        self.line
    }

    /// What to write instead.
    pub fn remedy(&self) -> &str {
        &self.remedy
    }
}

/// The text of a scenario file, able to turn a span of it into an error.
#[derive(Debug, Clone)]
pub struct SourceText {
    pub(crate) name: String,
    pub(crate) text: String,
}

impl SourceText {
    /// The file, as it was given.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// An error about the bytes `span`.
    pub fn error(&self, span: Range<usize>, message: impl Into<String>, remedy: impl Into<String>) -> ScenarioError {
        let start = span.start.min(self.text.len());
        let end = span.end.clamp(start, self.text.len());
        ScenarioError {
            file: self.name.clone(),
            line: 1 + self.text[..start].matches('\n').count(),
            message: message.into(),
            source_code: NamedSource::new(&self.name, self.text.clone()),
            at: (start..end).into(),
            remedy: remedy.into(),
        }
    }

    /// The span of the key at `path`, such as `["variant", "1", "service", "retry"]`, as far as the file has it.
    pub fn locate(&self, path: &[&str]) -> Range<usize> {
        let Ok(root) = toml::de::DeTable::parse(&self.text) else {
            return 0..0;
        };
        let mut span = root.span();
        let root = toml::de::DeValue::Table(root.into_inner());
        let mut at = &root;
        for step in path {
            let next = match at {
                toml::de::DeValue::Table(table) => {
                    let Some((key, value)) = table.iter().find(|(key, _)| key.get_ref() == step) else {
                        break;
                    };
                    span = key.span();
                    value
                }
                toml::de::DeValue::Array(items) => {
                    let Some(item) = step.parse::<usize>().ok().and_then(|n| items.get(n)) else {
                        break;
                    };
                    span = item.span();
                    item
                }
                _ => break,
            };
            at = next.get_ref();
        }
        span
    }
}
