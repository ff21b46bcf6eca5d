"""Implementations of the ports in memory, for a single process: to run Herald without a broker, a database or Redis,
and for unit tests."""
