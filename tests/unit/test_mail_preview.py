"""`herald mail preview`."""

import email
import email.policy
import json
import os
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from entrypoints.cli.main import main
from entrypoints.profiles.loader import shipped
from entrypoints.settings.loader import NAMES

ORDER = {"order_id": 7, "customer_email": "kim@example.com", "customer_name": "Kim <b>", "status": "shipped"}

ROUTES = """
profile = "mine"
[[routes]]
source = "a.b"
type = "t"
email = { to = "to", subject = "Hello", template = "own.html" }
"""


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in NAMES & os.environ.keys():
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def preview(event: Any, *arguments: str, **environ: str) -> Result:
    body = event if isinstance(event, bytes) else json.dumps(event).encode()
    result = CliRunner().invoke(main, ["mail", "preview", "-", *arguments], input=body, env=environ)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


@pytest.fixture
def own(tmp_path: Path) -> tuple[str, str]:
    """A routes file of an operator, and the folder of its template."""
    (folder := tmp_path / "templates").mkdir()
    (folder / "own.html").write_text("<p>{{ word }}</p>")
    (folder / "own.txt").write_text("{{ word }}")
    (file := tmp_path / "routes.toml").write_text(ROUTES)
    return str(file), str(folder)


def test_a_mail_is_written_as_eml_and_html_and_both_paths_are_printed(tmp_path: Path) -> None:
    result = preview(ORDER, "--source", "order.status.updated", SMTP_FROM="Shop <shop@example.com>")
    assert (result.exit_code, result.stderr) == (0, "")
    eml, html = Path("var/mail-preview/1.eml"), Path("var/mail-preview/1.html")
    assert result.stdout.splitlines() == [
        "to       kim@example.com",
        "subject  Order 7: shipped",
        f"written  {eml}",
        f"written  {html}",
    ]
    message = email.message_from_bytes((tmp_path / eml).read_bytes(), policy=email.policy.default)
    assert (message["From"], message["To"]) == ("Shop <shop@example.com>", "kim@example.com")
    assert message["Subject"] == "Order 7: shipped"
    plain, rich = (part.get_content().replace("\r\n", "\n") for part in message.iter_parts())
    assert "Kim <b>" in plain
    assert "Kim &lt;b&gt;" in rich
    assert rich.strip() == (tmp_path / html).read_text(encoding="utf-8").strip()


@pytest.mark.parametrize("sample", shipped(["orders"])[0].samples, ids=lambda sample: sample.title)
def test_each_sample_with_mails_of_the_shipped_profiles_can_be_previewed(sample: Any) -> None:
    assert preview(sample.payload, "--source", sample.source).exit_code == 0


def test_the_type_is_used_as_source_if_a_route_has_it() -> None:
    assert preview({**ORDER, "type": "order.created"}).exit_code == 0
    assert Path("var/mail-preview/1.eml").exists()


@pytest.mark.parametrize(
    ("event", "words"),
    [
        (ORDER, "The event has no type: give its topic or routing key"),
        ({**ORDER, "type": "order.eaten"}, "No route has the source 'order.eaten', the event's type"),
        (b"\xff", "The event has no type"),
        (b"text", "The event has no type"),
    ],
)
def test_without_type_and_source_it_asks_for_the_source(event: Any, words: str) -> None:
    result = preview(event)
    assert result.exit_code == 2
    assert words in result.stderr


def test_preview_with_a_routes_file_and_an_output_folder(own: tuple[str, str], tmp_path: Path) -> None:
    routes, templates = own
    (tmp_path / "event.json").write_text('{"type": "t", "to": ["a@example.com", "b@example.com"], "word": "<hi>"}')
    arguments = ["mail", "preview", "event.json", "--source", "a.b", "--routes", routes, "--out", "out"]
    result = CliRunner().invoke(main, arguments, env={"HERALD_MAIL_TEMPLATES": templates})
    assert result.exit_code == 0
    assert "b@example.com" in result.output
    assert sorted(os.listdir("out")) == ["1.eml", "1.html", "2.eml", "2.html"]
    assert Path("out/2.html").read_text() == "<p>&lt;hi&gt;</p>"


def test_routes_come_from_the_settings_and_an_explicit_profile_takes_precedence(own: tuple[str, str]) -> None:
    environ = {"HERALD_ROUTES": own[0], "HERALD_MAIL_TEMPLATES": own[1]}
    event = {"type": "t", "to": "a@example.com", "word": "x"}
    assert preview(event, "--source", "a.b", **environ).exit_code == 0
    assert "no_route" in preview(event, "--source", "a.b", "--profile", "orders", **environ).stderr
    assert preview(ORDER, "--source", "order.created", "--profile", "orders", **environ).exit_code == 0


def test_own_and_shipped_profiles_find_their_templates(own: tuple[str, str]) -> None:
    environ = {"HERALD_ROUTES": f"{own[0]},shipped:orders", "HERALD_MAIL_TEMPLATES": own[1]}
    assert CliRunner().invoke(main, ["config", "--mode", "dev"], env=environ).exit_code == 0
    assert preview({"type": "t", "to": "a@example.com", "word": "x"}, "--source", "a.b", **environ).exit_code == 0
    assert preview(ORDER, "--source", "order.created", **environ).exit_code == 0


class TestFailures:
    def test_a_missing_field(self, own: tuple[str, str]) -> None:
        event = {"type": "t", "to": "a@example.com"}
        result = preview(event, "--source", "a.b", "--routes", own[0], HERALD_MAIL_TEMPLATES=own[1])
        assert (result.exit_code, result.stderr) == (1, "fails    own.html: the event has no 'word'\n")
        assert not Path("var").exists()

    def test_an_invalid_address_beside_a_valid_one(self) -> None:
        result = preview({**ORDER, "customer_email": ["kim", "kim@example.com"]}, "--source", "order.created")
        assert result.exit_code == 1
        assert result.stderr.startswith("fails    no mail can be sent to 'kim'")
        assert sorted(os.listdir("var/mail-preview")) == ["2.eml", "2.html"]

    def test_no_address_and_no_subject(self) -> None:
        result = preview({"order_id": 7}, "--source", "order.status.updated")
        assert "to       nobody\nsubject  none\n" in result.stdout
        assert result.stderr == "fails    the event names no address\n"

    def test_an_event_without_mails(self) -> None:
        result = preview(b"BUY", "--source", "trading_signals")
        assert (result.exit_code, result.stderr) == (1, "No route mails this event to anyone.\n")

    @pytest.mark.parametrize(("body", "reason"), [(b"\xff", "not_utf8"), (b'{"a":"\\u0000"}', "no_route")])
    def test_a_dead_letter(self, body: bytes, reason: str) -> None:
        result = preview(body, "--source", "nowhere")
        assert (result.exit_code, result.stderr.startswith(f"A dead letter: {reason}: ")) == (1, True)

    def test_a_folder_that_is_a_file(self) -> None:
        Path("taken").write_text("")
        result = preview(ORDER, "--source", "order.created", "--out", "taken")
        assert (result.exit_code, result.stderr) == (1, "Error: taken can't be written to: File exists\n")

    @pytest.mark.parametrize(
        ("arguments", "words"),
        [
            (["--routes", "a.toml", "--profile", "orders"], "--routes or --profile"),
            (["--profile", "oders"], "did you mean orders?"),
            (["--routes", "nowhere.toml"], "can't be read"),
        ],
    )
    def test_invalid_options_are_errors(self, arguments: list[str], words: str) -> None:
        result = preview(ORDER, "--source", "order.created", *arguments)
        assert result.exit_code == 2
        assert words in result.stderr

    def test_a_missing_event_file_is_an_error(self) -> None:
        result = CliRunner().invoke(main, ["mail", "preview", "nowhere.json"])
        assert result.exit_code == 2
        assert "No such file" in result.stderr


# --- the mails of samples, in `herald routes check` -------------------------------------------------------------


def test_a_sample_whose_mail_fails_is_a_warning_of_the_check(own: tuple[str, str]) -> None:
    file, folder = own
    samples = [
        ("good", '{ type = "t", to = "a@b.example", word = "{user}" }'),
        ("lacking", '{ type = "t", to = "a@b.example" }'),
        ("other", '{ type = "t", to = ["a b", "a@b.example"], word = 1 }'),
    ]
    with Path(file).open("a") as routes:
        for title, payload in samples:
            routes.write(f'[[samples]]\ntitle = "{title}"\nsource = "a.b"\npayload = {payload}\n')
    result = CliRunner().invoke(main, ["routes", "check", file], env={"HERALD_MAIL_TEMPLATES": folder})
    assert result.exit_code == 0
    assert [line for line in result.stderr.splitlines() if "email of" in line] == [
        f"{file}: warning: route 1 ('a.b'): email of the sample 'lacking' fails: own.html: the event has no 'word'",
        f"{file}: warning: route 1 ('a.b'): email of the sample 'other' fails: no mail can be sent to 'a b': it has no"
        " text before the @, or no domain after it",
    ]
    assert not Path("var").exists()
