-- How many jobs of a tenant wait is counted here.
CREATE INDEX jobs_waiting ON jobs (tenant) WHERE claimable_us IS NOT NULL AND NOT lent;
