"""Kafka as an event source: a member of a consumer group, which commits the offsets of stored events and reconnects
after any fault (an error or a stall)."""
