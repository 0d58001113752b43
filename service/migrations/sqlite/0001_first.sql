-- What the service made itself before it had migrations: a file of that time takes this step without a change.
CREATE TABLE IF NOT EXISTS sessions (
    id TEXT PRIMARY KEY, answers INTEGER NOT NULL, prompt_tokens INTEGER NOT NULL, completion_tokens INTEGER NOT NULL
) STRICT;

CREATE TABLE IF NOT EXISTS usage (
    answer_id TEXT PRIMARY KEY, session TEXT NOT NULL, provider TEXT NOT NULL,
    prompt_tokens INTEGER NOT NULL, completion_tokens INTEGER NOT NULL
) STRICT;

CREATE TABLE IF NOT EXISTS jobs (
    arrival INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, record TEXT NOT NULL,
    claimable_us INTEGER, finished_us INTEGER
) STRICT;

CREATE INDEX IF NOT EXISTS jobs_claimable ON jobs (claimable_us, arrival) WHERE claimable_us IS NOT NULL;

CREATE INDEX IF NOT EXISTS jobs_finished ON jobs (finished_us) WHERE finished_us IS NOT NULL;
