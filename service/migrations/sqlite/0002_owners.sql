-- Whose a job is, what its owner calls it, what it asks, and whether it is lent: what the queue searches for.
ALTER TABLE jobs ADD COLUMN tenant TEXT NOT NULL DEFAULT '';
ALTER TABLE jobs ADD COLUMN idempotency_key TEXT;
ALTER TABLE jobs ADD COLUMN fingerprint TEXT;
ALTER TABLE jobs ADD COLUMN lent INTEGER NOT NULL DEFAULT 0;

UPDATE jobs SET lent = 1 WHERE json_type(record, '$.state.running') IS NOT NULL;

-- What was there belongs to those who come without a key, as they did.
UPDATE jobs SET tenant = 'anonymous', record = json_set(record, '$.tenant', 'anonymous');
UPDATE sessions SET id = 'anonymous/' || id;
UPDATE usage SET session = 'anonymous/' || session;

DROP INDEX jobs_claimable;
CREATE INDEX jobs_claimable ON jobs (claimable_us, arrival, lent) WHERE claimable_us IS NOT NULL;

CREATE UNIQUE INDEX jobs_key ON jobs (tenant, idempotency_key) WHERE idempotency_key IS NOT NULL;
CREATE UNIQUE INDEX jobs_open ON jobs (tenant, fingerprint) WHERE fingerprint IS NOT NULL AND finished_us IS NULL;
