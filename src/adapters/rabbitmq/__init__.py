"""RabbitMQ as an event source: a consumer that acknowledges stored events and reconnects after any fault."""
