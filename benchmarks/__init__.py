"""Herald measured against the loop that it replaces: `python -m benchmarks`, or `task bench`.

seed_loop.py     the reference: FastAPI, uvicorn, and one `await send_text` after another
bare_kafka.py    the references with Kafka: a getone-and-send loop, and a getmany-and-decode loop
clients.py       the load: WebSockets and event streams by the thousand, with little Python a frame
servers.py       server processes: started, pinned to one core, looked at, stopped
broker.py        a real Kafka, and events in it
nodes.py         nodes that share a PostgreSQL and a Redis, and what each has had of the processors
pace.py, loads.py    what is published, and how fast
fan_out.py, kafka.py, memory.py …    the benchmarks
report.py        the table
"""
