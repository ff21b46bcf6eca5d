"""The pictures of the README, made anew: `task pictures`.

    docs/images/architecture.svg   the way of an event, drawn from the tables below
    docs/images/page.png           the page of `herald dev` after some events, in a real Chromium

Both together stay under 300 KB. Chromium is found on the PATH, or by HERALD_CHROMIUM.
"""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from html import escape
from pathlib import Path
from typing import Final, NamedTuple

import httpx
from playwright.sync_api import sync_playwright

ROOT: Final = Path(__file__).resolve().parent.parent
IMAGES: Final = ROOT / "docs" / "images"
MAX_BYTES: Final = 300_000
START_TIMEOUT_S: Final = 30.0
PAGE_TIMEOUT_MS: Final = 20_000
PAGE_SIZE: Final = {"width": 1180, "height": 760}
SAMPLES: Final = 4


class Box(NamedTuple):
    """A part of Herald, or what surrounds it; positions and sizes in pixels."""

    x: int
    y: int
    width: int
    height: int
    title: str
    lines: tuple[str, ...] = ()
    outside: bool = False


class Arrow(NamedTuple):
    """A straight line from one point to another, with a label above its middle."""

    from_: tuple[int, int]
    to: tuple[int, int]
    label: str = ""


BOXES: Final = (
    Box(10, 70, 140, 50, "Kafka, Redpanda", (), True),
    Box(10, 140, 140, 50, "RabbitMQ", (), True),
    Box(10, 210, 140, 50, "HTTP publishers", (), True),
    Box(220, 110, 150, 110, "Ingest", ("reads batches, plans", "by routes, acknowledges", "after storing")),
    Box(440, 70, 170, 190, "Store", ("one transaction:", "notifications, broadcasts,", "deliveries, dead letters")),
    Box(680, 20, 160, 70, "Backplane", ("Redis: entries for", "the hubs of all nodes")),
    Box(680, 120, 160, 85, "Hub of each node", ("stream buffers, positions", "of every session")),
    Box(680, 260, 160, 70, "Dispatchers", ("one for each", "outbound channel")),
    Box(910, 110, 140, 50, "WebSocket, SSE", (), True),
    Box(910, 205, 140, 50, "Inbox over REST", (), True),
    Box(910, 270, 140, 50, "E-mail", (), True),
)
ARROWS: Final = (
    Arrow((150, 95), (220, 140)),
    Arrow((150, 165), (220, 165)),
    Arrow((150, 235), (220, 190)),
    Arrow((370, 165), (440, 165), "plans"),
    Arrow((610, 95), (680, 60), "publish"),
    Arrow((760, 90), (760, 120)),
    Arrow((610, 165), (680, 165), "resume"),
    Arrow((610, 230), (910, 230), "list, changes"),
    Arrow((610, 250), (680, 290), "claim"),
    Arrow((840, 140), (910, 135), "push"),
    Arrow((840, 295), (910, 295), "send"),
)
STYLE: Final = """
  text { font: 13px system-ui, sans-serif; fill: #1f2937; text-anchor: middle }
  .title { font-weight: 600 }
  .note { font-size: 11px; fill: #4b5563 }
  rect { fill: #eef2ff; stroke: #4f46e5; stroke-width: 1.5; rx: 8 }
  rect.outside { fill: #f3f4f6; stroke: #9ca3af }
  line { stroke: #4b5563; stroke-width: 1.5; marker-end: url(#head) }
  @media (prefers-color-scheme: dark) {
    text { fill: #e5e7eb } .note { fill: #9ca3af } rect { fill: #1e1b4b } rect.outside { fill: #1f2937 }
    line { stroke: #9ca3af }
  }
"""


def architecture() -> str:
    """The drawing, as SVG."""
    parts = [_box(box) for box in BOXES] + [_arrow(arrow) for arrow in ARROWS]
    head = '<marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 1060 345" role="img" aria-label="The way of an event">\n'
        f"<style>{STYLE}</style>\n"
        f'<defs>{head}<path d="M0 0 8 4 0 8z" fill="#6b7280"/></marker></defs>\n' + "\n".join(parts) + "\n</svg>\n"
    )


def _box(box: Box) -> str:
    middle = box.x + box.width // 2
    top = box.y + box.height // 2 + 5 - 8 * len(box.lines)
    kind = ' class="outside"' if box.outside else ""
    texts = [f'<text class="title" x="{middle}" y="{top}">{escape(box.title)}</text>']
    texts += [
        f'<text class="note" x="{middle}" y="{top + 17 + 15 * number}">{escape(line)}</text>'
        for number, line in enumerate(box.lines)
    ]
    return f'<rect{kind} x="{box.x}" y="{box.y}" width="{box.width}" height="{box.height}"/>' + "".join(texts)


def _arrow(arrow: Arrow) -> str:
    (x1, y1), (x2, y2) = arrow.from_, arrow.to
    label = f'<text class="note" x="{(x1 + x2) // 2}" y="{(y1 + y2) // 2 - 8}">{arrow.label}</text>'
    return f'<line x1="{x1}" y1="{y1}" x2="{x2}" y2="{y2}"/>' + (label if arrow.label else "")


def screenshot(file: Path) -> None:
    """The page after some samples of the groups profile, which arrive in the inbox of the page's user."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}/"
    with tempfile.TemporaryDirectory() as folder:
        command = [str(Path(sys.executable).with_name("herald")), "dev", "--port", str(port)]
        server = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            _wait_until_ready(url, server)
            _photograph(url, file)
        finally:
            server.terminate()
            server.wait()


def _wait_until_ready(url: str, server: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while server.poll() is None and time.monotonic() < deadline:
        try:
            if httpx.get(f"{url}health/ready").status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.1)
    sys.exit(f"herald dev was not ready within {START_TIMEOUT_S:g} s")


def _photograph(url: str, file: Path) -> None:
    chromium = os.environ.get("HERALD_CHROMIUM") or shutil.which("chromium")
    if chromium is None:
        sys.exit("Chromium was not found: install it, or set HERALD_CHROMIUM")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport=PAGE_SIZE, color_scheme="light")
        page.goto(url)
        buttons = page.locator("#samples button")
        buttons.first.wait_for(timeout=PAGE_TIMEOUT_MS)
        for number in range(min(SAMPLES, buttons.count())):
            buttons.nth(number).click()
            page.wait_for_timeout(300)
        page.locator("#items li").first.wait_for(timeout=PAGE_TIMEOUT_MS)
        page.evaluate("scrollTo(0, 0)")
        page.screenshot(path=file)
        browser.close()


def main() -> None:
    IMAGES.mkdir(exist_ok=True)
    (IMAGES / "architecture.svg").write_text(architecture())
    screenshot(IMAGES / "page.png")
    size = sum(file.stat().st_size for file in IMAGES.iterdir())
    print(f"docs/images: {size / 1000:.0f} KB")
    if size > MAX_BYTES:
        sys.exit(f"docs/images is larger than {MAX_BYTES / 1000:.0f} KB")


if __name__ == "__main__":
    main()
