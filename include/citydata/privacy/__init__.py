"""Pseudonyms and masking: personal identity codes never reach the database, a log or an error."""
