//! What all endpoints' descriptions have in common.

use std::collections::BTreeMap;

use bytes::Bytes;
use utoipa::openapi::{ContentBuilder, OpenApi, Ref, RefOr, Response, ResponseBuilder};
use utoipa::{IntoResponses, OpenApi as _, ToSchema};

use crate::error::{Problem, Violation};

/// Where the schema of a problem is.
const PROBLEM: &str = "Problem";

/// The document as it is served, rendered once.
#[derive(Clone)]
pub(in crate::features) struct Document(pub(super) Bytes);

impl Document {
    pub(in crate::features) fn of(api: &OpenApi) -> Self {
        Self(serde_json::to_vec(api).unwrap_or_default().into())
    }
}

/// One event of a stream: what a schema of `text/event-stream` describes.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it is written by axum; this is its description")]
pub(crate) struct StreamEvent {
    /// Its name, where it has one.
    #[schema(required = false)]
    event: String,
    /// JSON, or the word that ends a stream.
    data: String,
}

/// What is known before any feature is.
#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "Brownout reference service",
        description = "An LLM service that stays useful when its model provider is not."
    ),
    components(schemas(Problem, Violation))
)]
struct Description;

/// The document that the features add theirs to.
pub(in crate::features) fn description() -> OpenApi {
    Description::openapi()
}

/// The ways in which any endpoint can fail, as RFC 9457 problems.
pub(crate) struct Problems;

impl IntoResponses for Problems {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        problems("application/problem+json", PROBLEM)
    }
}

/// The same for an endpoint with an error body of its own.
pub(in crate::features) fn problems(content_type: &str, schema: &str) -> BTreeMap<String, RefOr<Response>> {
    let described = [
        (
            "4XX",
            "The request cannot be answered as it is; `429` says when to come back",
        ),
        ("5XX", "The service or its model provider could not answer"),
    ];
    let response = |description: &str| {
        let content = ContentBuilder::new()
            .schema(Some(Ref::from_schema_name(schema)))
            .build();
        ResponseBuilder::new()
            .description(description)
            .content(content_type, content)
            .build()
    };
    described
        .into_iter()
        .map(|(status, description)| (status.to_owned(), RefOr::T(response(description))))
        .collect()
}
