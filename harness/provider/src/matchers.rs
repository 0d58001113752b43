//! `wiremock` matchers for each dialect's endpoints, as `Mock::given(openai::chat())` reads.

use brownout_scenario::plan::Dialect;

use crate::engine::wiremock::Endpoint;

/// OpenAI Chat Completions.
pub mod openai {
    use super::{Dialect, Endpoint};

    /// `POST /v1/chat/completions`.
    pub const fn chat() -> Endpoint {
        Endpoint::chat(Dialect::OpenAi)
    }

    /// `GET /v1/models`, and one model.
    pub const fn models() -> Endpoint {
        Endpoint::models(Dialect::OpenAi)
    }
}

/// Anthropic Messages.
pub mod anthropic {
    use super::{Dialect, Endpoint};

    /// `POST /v1/messages`.
    pub const fn messages() -> Endpoint {
        Endpoint::chat(Dialect::Anthropic)
    }

    /// `GET /v1/models`, and one model.
    pub const fn models() -> Endpoint {
        Endpoint::models(Dialect::Anthropic)
    }
}

/// Gemini.
pub mod gemini {
    use super::{Dialect, Endpoint};

    /// `POST /v1beta/models/MODEL:generateContent` and `:streamGenerateContent`.
    pub const fn generate_content() -> Endpoint {
        Endpoint::chat(Dialect::Gemini)
    }

    /// `GET /v1beta/models`, and one model.
    pub const fn models() -> Endpoint {
        Endpoint::models(Dialect::Gemini)
    }
}

/// Ollama.
pub mod ollama {
    use super::{Dialect, Endpoint};

    /// `POST /api/chat`.
    pub const fn chat() -> Endpoint {
        Endpoint::chat(Dialect::Ollama)
    }

    /// `GET /api/tags`.
    pub const fn models() -> Endpoint {
        Endpoint::models(Dialect::Ollama)
    }
}
