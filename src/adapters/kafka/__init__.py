"""Kafka as an event source: a member of a consumer group that acknowledges what is stored, and outlives its broker."""
