//! A run record drawn as pages, charts, summaries and JUnit.
