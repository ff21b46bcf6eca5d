"""RabbitMQ as an event source: a consumer that acknowledges what is stored, and outlives its broker."""
