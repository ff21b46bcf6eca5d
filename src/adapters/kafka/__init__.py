"""Kafka as an event source: a consumer group member that commits stored events and reconnects after any fault."""
