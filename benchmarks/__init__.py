"""Benchmarks that compare Herald with the send loop of the services that it replaces: `python -m benchmarks`, or `task
bench`.

reference_loop.py    the reference: FastAPI, uvicorn, and one `await send_text` after another
bare_*.py            minimal programs with Kafka, RabbitMQ, PostgreSQL or SMTP, as further references
clients.py           thousands of WebSockets and event streams in one process, cheap enough to be no bottleneck
servers.py           server processes: start, pin to one core, measure, stop
broker.py            a real Kafka
postgres.py          a real PostgreSQL with data
nodes.py             nodes that share a PostgreSQL and a Redis, and the CPU time of each component
pace.py, loads.py    which events are published, and how fast
fan_out.py, kafka.py, memory.py …    the benchmarks
report.py            repeats the runs, and prints the table of results
"""
