pytest_plugins = [
    "tests.kafka_fixtures",
    "tests.nginx_fixtures",
    "tests.pgbouncer_fixtures",
    "tests.postgres_fixtures",
    "tests.rabbitmq_fixtures",
    "tests.redis_fixtures",
]
