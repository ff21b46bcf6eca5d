"""Authentication of callers, and rate limits."""
