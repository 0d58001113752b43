-- Since when it is known that a record cannot be read.
ALTER TABLE jobs ADD COLUMN unreadable_us INTEGER;
