"""The seed's way of sending mail: for each in turn, fill the template, connect, send, quit.

    python -m benchmarks.bare_mail PORT COUNT [DATABASE_URL]

Sends so many mails, and prints how many a second. With a database each is put on record too, as the seed does: a row,
committed by itself.
"""

import sys
import time
from contextlib import nullcontext
from datetime import UTC, datetime
from email.message import EmailMessage
from uuid import uuid4

import aiosmtplib
import uvloop
from jinja2 import Environment, FileSystemLoader

from adapters.mail.filters import FILTERS
from adapters.mail.template_files import SHIPPED
from benchmarks.postgres import connected

ORDER = {"order_id": "o-1", "customer_email": "kim@example.com", "customer_name": "Kim", "total": 42.5}


RECORD = "INSERT INTO sent (id, recipient, order_id, subject, status, sent_at) VALUES ($1, $2, $3, $4, 'sent', now())"
TABLE = "CREATE TABLE sent (id uuid PRIMARY KEY, recipient text, order_id text, subject text, status text, sent_at timestamptz)"


async def main(port: int, count: int, url: str | None) -> None:
    environment = Environment(loader=FileSystemLoader(SHIPPED), autoescape=True)
    environment.filters.update(FILTERS)
    template = environment.get_template("order_created.html")
    async with connected(url) if url else nullcontext() as connection:
        if connection:
            await connection.execute(TABLE)
        began = time.perf_counter()
        for _ in range(count):
            mail = EmailMessage()
            mail["From"], mail["To"], mail["Subject"] = "shop@example.com", ORDER["customer_email"], "Order received"
            mail.set_content(template.render(ORDER, event={"time": datetime.now(UTC)}), subtype="html")
            await aiosmtplib.send(mail, hostname="127.0.0.1", port=port)
            if connection:
                await connection.execute(RECORD, uuid4(), ORDER["customer_email"], ORDER["order_id"], "Order received")
        print(count / (time.perf_counter() - began))


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3] if len(sys.argv) > 3 else None))
