"""Reference for mails: for one mail after another, render the template, connect, send and quit, as the replaced service
does.

    python -m benchmarks.bare_mail PORT COUNT

Sends COUNT mails and prints mails per second. Nothing is recorded.
"""

import sys
import time
from datetime import UTC, datetime
from email.message import EmailMessage

import aiosmtplib
import uvloop
from jinja2 import Environment, FileSystemLoader

from adapters.mail.shipped_templates import CHANNEL_TEMPLATES
from adapters.mail.template_filters import FILTERS
from entrypoints.profiles.shipped_files import PROFILE_TEMPLATES

ORDER = {"order_id": "o-1", "customer_email": "kim@example.com", "customer_name": "Kim", "total": 42.5}


async def main(port: int, count: int) -> None:
    environment = Environment(loader=FileSystemLoader([PROFILE_TEMPLATES, CHANNEL_TEMPLATES]), autoescape=True)
    environment.filters.update(FILTERS)
    template = environment.get_template("order_created.html")
    began = time.perf_counter()
    for _ in range(count):
        mail = EmailMessage()
        mail["From"], mail["To"], mail["Subject"] = "shop@example.com", ORDER["customer_email"], "Order received"
        mail.set_content(template.render(ORDER, event={"time": datetime.now(UTC)}), subtype="html")
        await aiosmtplib.send(mail, hostname="127.0.0.1", port=port)
    print(count / (time.perf_counter() - began))


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1]), int(sys.argv[2])))
