from functools import cache

from httpx._transports import default

pytest_plugins = [
    "tests.kafka_fixtures",
    "tests.nginx_fixtures",
    "tests.pgbouncer_fixtures",
    "tests.postgres_fixtures",
    "tests.rabbitmq_fixtures",
    "tests.redis_fixtures",
]

# Every httpx client loads the CA certificates of this machine, which takes longer than most requests of a test.
default.create_ssl_context = cache(default.create_ssl_context)
