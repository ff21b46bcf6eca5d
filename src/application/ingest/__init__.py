"""Ingest: events from a broker's batch or an HTTP request are planned, stored, published and acknowledged."""
