//! The form that an answer is asked to have. Source: the OpenAI API reference, "Chat Completions", `response_format`.
//!
//! Passed on to the provider; whether the answer keeps to it is [`crate::structured`]'s.

use garde::Validate;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::structured;

/// What the answer is to look like.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Validate, ToSchema)]
pub(crate) struct ResponseFormat {
    #[garde(skip)]
    #[serde(rename = "type")]
    kind: FormatKind,
    /// Needed with the type `json_schema`.
    #[garde(dive, custom(there_for(self.kind)))]
    #[serde(skip_serializing_if = "Option::is_none")]
    json_schema: Option<NamedSchema>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum FormatKind {
    Text,
    JsonObject,
    JsonSchema,
}

/// A JSON schema with the name that OpenAI asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Validate, ToSchema)]
struct NamedSchema {
    #[garde(length(min = 1, max = 64))]
    #[schema(min_length = 1, max_length = 64)]
    name: String,
    #[garde(skip)]
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    /// At most 64 KiB, nested at most 32 deep, with references and alternatives that come to at most 10,000 steps, and
    /// complete in itself: nothing that it refers to is fetched.
    #[garde(custom(bounded))]
    #[schema(value_type = Option<Object>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    schema: Option<Map<String, Value>>,
    #[garde(skip)]
    #[serde(skip_serializing_if = "Option::is_none")]
    strict: Option<bool>,
}

impl ResponseFormat {
    /// As it is sent to a provider.
    pub(crate) fn on_the_wire(&self) -> Option<Value> {
        serde_json::to_value(self).ok()
    }
}

fn there_for(kind: FormatKind) -> impl FnOnce(&Option<NamedSchema>, &()) -> garde::Result {
    move |schema, ()| {
        if kind == FormatKind::JsonSchema && schema.is_none() {
            return Err(garde::Error::new("is missing, and its type needs it"));
        }
        Ok(())
    }
}

#[expect(clippy::ref_option, reason = "garde hands the field as it is")]
fn bounded<C>(schema: &Option<Map<String, Value>>, _: &C) -> garde::Result {
    let Some(schema) = schema else { return Ok(()) };
    structured::bounded(&Value::Object(schema.clone())).map_err(garde::Error::new)
}
