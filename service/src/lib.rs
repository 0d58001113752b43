//! The reference LLM service: four designs, one API.
