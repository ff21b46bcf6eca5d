"""RabbitMQ as an event source: a consumer of one queue, which acknowledges stored events and reconnects after any fault
(an error, or a broker that does not answer)."""
