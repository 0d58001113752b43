CREATE TABLE sessions (
    id TEXT PRIMARY KEY, answers BIGINT NOT NULL, prompt_tokens BIGINT NOT NULL, completion_tokens BIGINT NOT NULL
);

CREATE TABLE usage (
    answer_id TEXT PRIMARY KEY, session TEXT NOT NULL, provider TEXT NOT NULL,
    prompt_tokens BIGINT NOT NULL, completion_tokens BIGINT NOT NULL
);

-- `record` is text, not JSONB: the queue does not look into it, and it comes back to the byte.
CREATE TABLE jobs (
    arrival BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, id TEXT NOT NULL UNIQUE, record TEXT NOT NULL,
    claimable_us BIGINT, finished_us BIGINT, lent BOOLEAN NOT NULL,
    tenant TEXT NOT NULL, idempotency_key TEXT, fingerprint TEXT
);

CREATE INDEX jobs_claimable ON jobs (claimable_us, arrival) INCLUDE (lent) WHERE claimable_us IS NOT NULL;
CREATE INDEX jobs_finished ON jobs (finished_us) WHERE finished_us IS NOT NULL;
CREATE UNIQUE INDEX jobs_key ON jobs (tenant, idempotency_key) WHERE idempotency_key IS NOT NULL;
CREATE UNIQUE INDEX jobs_open ON jobs (tenant, fingerprint) WHERE fingerprint IS NOT NULL AND finished_us IS NULL;
