"""A mail server that accepts every mail and discards it: aiosmtpd, as in the tests.

    python -m benchmarks.smtp_sink PORT MILLISECONDS

Each reply is delayed by MILLISECONDS. The command `COUNT` returns the number of mails.
"""

import asyncio
import sys
from typing import Any

from aiosmtpd.smtp import SMTP


class Handler:
    received = 0

    async def handle_DATA(self, *_: Any) -> str:
        self.received += 1
        return "250 2.0.0 accepted"


class Sink(SMTP):
    delay = 0.0

    async def push(self, status: str | bytes) -> None:
        if Sink.delay:
            await asyncio.sleep(Sink.delay)
        await super().push(status)

    async def smtp_COUNT(self, _: str | None) -> None:
        await super().push(f"250 {self.event_handler.received}")


async def main(port: int, milliseconds: float) -> None:
    Sink.delay = milliseconds / 1e3
    loop, handler = asyncio.get_running_loop(), Handler()
    await loop.create_server(lambda: Sink(handler, hostname="sink", loop=loop), "127.0.0.1", port, backlog=500)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), float(sys.argv[2])))
