//! Requests and answers of Embeddings. Source: the OpenAI API reference, "Embeddings".
//!
//! Texts only: lists of token numbers are refused, because they mean something to one vocabulary only.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use garde::Validate;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::openapi::{ArrayBuilder, ObjectBuilder, OneOfBuilder, RefOr, Schema, Type};
use utoipa::{PartialSchema, ToSchema};

use super::batch::Embedded;

/// Longest name of a model or a user, in bytes.
const NAME: usize = 256;
/// Inputs of one request.
const INPUTS: usize = 256;
/// Longest vector that can be asked for.
const DIMENSIONS: u32 = 8192;

/// A request.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[schema(example = json!({ "model": "default", "input": ["What is a brownout?"] }))]
pub(super) struct EmbeddingRequest {
    /// A model of `GET /v1/models`.
    #[garde(length(min = 1, max = NAME))]
    #[schema(min_length = 1, max_length = 256)]
    pub(super) model: String,
    #[garde(dive)]
    input: Inputs,
    /// `float` unless it says otherwise.
    #[garde(skip)]
    encoding_format: Option<Encoding>,
    /// Length of the vectors, where the model lets one choose.
    #[garde(range(min = 1, max = DIMENSIONS))]
    #[schema(minimum = 1, maximum = 8192)]
    pub(super) dimensions: Option<u32>,
}

/// What is to be embedded: a text, or texts.
#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "the input is to be a text, or a list of texts")]
enum Inputs {
    One(String),
    Many(Vec<String>),
}

/// How vectors are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Encoding {
    /// As lists of numbers.
    Float,
    /// As four bytes for each number, the lowest first, in base64.
    Base64,
}

impl Validate for Inputs {
    type Context = ();

    fn validate_into(&self, (): &(), parent: &mut dyn FnMut() -> garde::Path, report: &mut garde::Report) {
        let texts = match self {
            Self::One(text) => std::slice::from_ref(text),
            Self::Many(texts) => texts,
        };
        if texts.is_empty() || texts.iter().any(String::is_empty) {
            report.append(parent(), garde::Error::new("is empty, or a part of it is"));
        }
        if texts.len() > INPUTS {
            report.append(parent(), garde::Error::new(format!("is more than {INPUTS} texts")));
        }
    }
}

impl PartialSchema for Inputs {
    fn schema() -> RefOr<Schema> {
        let text = || ObjectBuilder::new().schema_type(Type::String).min_length(Some(1));
        let texts = ArrayBuilder::new()
            .items(text())
            .min_items(Some(1))
            .max_items(Some(INPUTS));
        OneOfBuilder::new().item(text()).item(texts).into()
    }
}

impl ToSchema for Inputs {}

impl EmbeddingRequest {
    pub(super) fn encoding(&self) -> Encoding {
        self.encoding_format.unwrap_or(Encoding::Float)
    }

    pub(super) fn texts(self) -> Vec<String> {
        match self.input {
            Inputs::One(text) => vec![text],
            Inputs::Many(texts) => texts,
        }
    }
}

/// An answer.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct EmbeddingList {
    object: &'static str,
    data: Vec<VectorEntry>,
    model: String,
    usage: EmbeddingUsage,
}

#[derive(Debug, Serialize, ToSchema)]
struct VectorEntry {
    object: &'static str,
    /// The place of its input.
    index: usize,
    /// A list of numbers, or a text in base64.
    #[schema(schema_with = vector)]
    embedding: Value,
}

/// Either form of a vector.
fn vector() -> Schema {
    let number = ObjectBuilder::new().schema_type(Type::Number);
    let text = ObjectBuilder::new().schema_type(Type::String);
    OneOfBuilder::new()
        .item(ArrayBuilder::new().items(number))
        .item(text)
        .description(Some("A list of numbers, or a text in base64."))
        .into()
}

/// Where inputs of several requests shared a call, the provider names only the sum; then this is the request's part of it,
/// by the length of the texts.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
struct EmbeddingUsage {
    prompt_tokens: u64,
    total_tokens: u64,
}

impl EmbeddingList {
    /// `embedded` in the order of the inputs.
    pub(super) fn of(embedded: Vec<Embedded>, encoding: Encoding) -> Self {
        let prompt_tokens = embedded.iter().map(|each| each.prompt_tokens).sum();
        Self {
            object: "list",
            model: embedded.first().map(|first| first.model.clone()).unwrap_or_default(),
            data: (0..)
                .zip(embedded)
                .map(|(index, each)| VectorEntry {
                    object: "embedding",
                    index,
                    embedding: written(&each.vector, encoding),
                })
                .collect(),
            usage: EmbeddingUsage {
                prompt_tokens,
                total_tokens: prompt_tokens,
            },
        }
    }
}

fn written(vector: &[f32], encoding: Encoding) -> Value {
    match encoding {
        Encoding::Float => json!(vector),
        Encoding::Base64 => {
            let bytes: Vec<u8> = vector.iter().flat_map(|number| number.to_le_bytes()).collect();
            Value::String(STANDARD.encode(bytes))
        }
    }
}
