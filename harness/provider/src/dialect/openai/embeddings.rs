//! Embeddings: reads a request, writes its answer.
//!
//! Texts only; lists of token numbers are refused. A call that is read is a chat request whose passages are the inputs: what
//! it may suffer and cost is then decided like everything else.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use brownout_scenario::embedding;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Value, json};

use crate::dialect::{ChatRequest, Delivery, InvalidRequest, Passage, Problem, Role, Wants};

/// Inputs of one call.
const MOST_INPUTS: usize = 2_048;
/// Longest vector.
const LONGEST: u32 = 8_192;

#[derive(Deserialize)]
struct Body {
    model: Option<String>,
    input: Option<Input>,
    encoding_format: Option<String>,
    dimensions: Option<u32>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Input {
    One(String),
    Many(Vec<String>),
    Other(IgnoredAny),
}

/// Reads the body of a request.
pub(crate) fn read(body: &[u8]) -> Result<ChatRequest, Problem<'static>> {
    let body: Body = serde_json::from_slice(body).map_err(|_| Problem::NotJson)?;
    let Some(model) = body.model else {
        return Err(invalid("you must provide a model parameter", None));
    };
    let texts = match body.input {
        Some(Input::One(text)) => vec![text],
        Some(Input::Many(texts)) => texts,
        Some(Input::Other(_)) | None => return Err(invalid("'$.input' is invalid.", Some("input"))),
    };
    if !(1..=MOST_INPUTS).contains(&texts.len()) || texts.iter().any(String::is_empty) {
        return Err(invalid("'$.input' is invalid.", Some("input")));
    }
    let dimensions = body.dimensions.unwrap_or(embedding::DIMENSIONS);
    if !(1..=LONGEST).contains(&dimensions) {
        return Err(invalid("Invalid value for 'dimensions'.", Some("dimensions")));
    }
    let base64 = match body.encoding_format.as_deref() {
        None | Some("float") => false,
        Some("base64") => true,
        Some(_) => return Err(invalid("Invalid value for 'encoding_format'.", Some("encoding_format"))),
    };
    let passage = |text| Passage {
        role: Role::User,
        text,
        cache_here: false,
    };
    Ok(ChatRequest {
        model,
        passages: texts.into_iter().map(passage).collect(),
        // The least that an answer can be, so that a token bucket is charged for little else than the prompt.
        max_tokens: Some(1),
        delivery: Delivery::Whole,
        usage_frame: false,
        wants: Wants::Vectors { dimensions, base64 },
    })
}

fn invalid(message: &str, param: Option<&'static str>) -> Problem<'static> {
    Problem::Invalid(InvalidRequest {
        message: message.to_owned(),
        param,
        code: None,
    })
}

/// The body of an answer to `request`, whose inputs have so many tokens together.
pub(crate) fn whole(request: &ChatRequest, tokens: u64) -> Vec<u8> {
    let Wants::Vectors { dimensions, base64 } = request.wants else {
        return Vec::new();
    };
    let data: Vec<Value> = (0..)
        .zip(&request.passages)
        .map(|(index, passage): (usize, _)| {
            let vector = embedding::vector(&passage.text, dimensions);
            let embedding = if base64 {
                let bytes: Vec<u8> = vector.iter().flat_map(|number| number.to_le_bytes()).collect();
                json!(STANDARD.encode(bytes))
            } else {
                json!(vector)
            };
            json!({"object": "embedding", "index": index, "embedding": embedding})
        })
        .collect();
    let usage = json!({"prompt_tokens": tokens, "total_tokens": tokens});
    json!({"object": "list", "data": data, "model": request.model, "usage": usage})
        .to_string()
        .into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(body: &str) -> Result<Vec<String>, Problem<'static>> {
        let request = read(body.as_bytes())?;
        Ok(request.passages.into_iter().map(|passage| passage.text).collect())
    }

    #[test]
    fn one_text_and_many_are_read_and_nonsense_is_refused() {
        assert_eq!(texts(r#"{"model":"m","input":"a"}"#).unwrap(), ["a"]);
        assert_eq!(
            texts(r#"{"model":"m","input":["a","b"],"user":"u"}"#).unwrap(),
            ["a", "b"]
        );
        for bad in [
            r#"{"input":"a"}"#,
            r#"{"model":"m"}"#,
            r#"{"model":"m","input":[]}"#,
            r#"{"model":"m","input":["a",""]}"#,
            r#"{"model":"m","input":[[1,2]]}"#,
            r#"{"model":"m","input":"a","dimensions":0}"#,
            r#"{"model":"m","input":"a","encoding_format":"int8"}"#,
        ] {
            assert!(matches!(texts(bad), Err(Problem::Invalid(_))), "{bad}");
        }
        assert!(matches!(texts("{"), Err(Problem::NotJson)));
    }

    #[test]
    fn both_encodings_say_the_same_numbers() {
        let answer = |more: &str| -> Value {
            let request =
                read(format!(r#"{{"model":"m","input":["a","b"],"dimensions":4{more}}}"#).as_bytes()).unwrap();
            serde_json::from_slice(&whole(&request, 7)).unwrap()
        };
        let (floats, base64) = (answer(""), answer(r#","encoding_format":"base64""#));
        assert_eq!(floats["usage"], json!({"prompt_tokens": 7, "total_tokens": 7}));
        for place in 0..2 {
            let numbers: Vec<f32> = serde_json::from_value(floats["data"][place]["embedding"].clone()).unwrap();
            assert_eq!(numbers.len(), 4);
            let bytes = STANDARD
                .decode(base64["data"][place]["embedding"].as_str().unwrap())
                .unwrap();
            let decoded: Vec<f32> = bytes
                .chunks(4)
                .map(|four| f32::from_le_bytes(four.try_into().unwrap()))
                .collect();
            assert_eq!(decoded, numbers);
        }
    }
}
