"""Ingest: plans, stores, publishes and acknowledges the events of brokers and of HTTP requests;
replays dead letters."""
