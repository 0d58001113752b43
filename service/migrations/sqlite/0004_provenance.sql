-- The answers in `usage` whose numbers were counted here because their clients left before the provider's report. A table of
-- its own: the version before this one names no columns when it writes into `usage`, and goes on writing.
CREATE TABLE usage_estimated (answer_id TEXT PRIMARY KEY) STRICT;
