//! Criterion benchmarks live in `benches/benches`, one file per question; `docs/performance.md` has the figures.
