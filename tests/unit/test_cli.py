"""The command line."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner, Result

from entrypoints.cli import publish
from entrypoints.cli.main import main
from entrypoints.settings.loader import NAMES, Settings

ADD_USERS = "user_service.group.add_users"


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in NAMES & os.environ.keys():
        monkeypatch.delenv(name)


def herald(*arguments: str, input: str | bytes | None = None, **environ: str) -> Result:
    result = CliRunner().invoke(main, arguments, input=input, env=environ)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    assert "Traceback" not in result.output
    return result


class Events(ThreadingHTTPServer):
    """An HTTP server that records what it receives and responds as configured."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.bodies: list[bytes] = []
        self.headers: list[dict[str, str]] = []
        self.refuse_after = sys.maxsize
        self.refusal = (403, b'{"title": "Not yours.", "detail": "Ask for events:publish."}')
        self.url = f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    server: Events

    def do_POST(self) -> None:
        assert self.path == "/api/v1/events"
        body = self.rfile.read(int(self.headers["content-length"]))
        if len(self.server.bodies) >= self.server.refuse_after:
            status, answer = self.server.refusal
        else:
            self.server.bodies.append(body)
            self.server.headers.append({name.lower(): value for name, value in self.headers.items()})
            sent = json.loads(body)
            events = sent if isinstance(sent, list) else [sent]
            status, answer = 202, json.dumps({"ids": [e.get("id", f"e-{n}") for n, e in enumerate(events)]}).encode()
        self.send_response(status)
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: Any) -> None:
        """Suppress request logs in the output of tests."""


@pytest.fixture
def service() -> Iterator[Events]:
    with Events() as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[Settings]:
    """The settings with which the server was started. It exits immediately with code 3, or 4 with --migrate."""
    runs: list[Settings] = []

    def run(settings: Settings, *, migrate: bool) -> int:
        runs.append(settings)
        return 4 if migrate else 3

    monkeypatch.setitem(sys.modules, "entrypoints.server", SimpleNamespace(run=run))
    return runs


class TestHelp:
    def test_it_describes_herald_and_groups_the_commands(self) -> None:
        output = herald("--help").output
        for words in ("delivers them to users", "Run:", "Use:", "Look:", "herald routes explain event.json"):
            assert words in output
        assert all(f"\n  {name} " in output for name in main.commands)

    def test_other_commands_do_not_import_the_server(self) -> None:
        heavy = ("granian", "litestar", "sqlalchemy")
        code = f"import sys, entrypoints.cli.main; sys.exit(any(name in sys.modules for name in {heavy}))"
        assert subprocess.run([sys.executable, "-c", code], env={"PYTHONPATH": "src"}, check=False).returncode == 0

    def test_listen_names_the_missing_package(self) -> None:
        blocked = """
import sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "herald_client":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Missing())
from entrypoints.cli.main import main
main(["listen"])
"""
        run = subprocess.run([sys.executable, "-c", blocked], check=False, capture_output=True, text=True, timeout=60)
        assert (run.returncode, run.stdout) == (1, "")
        assert run.stderr == (
            "Error: `herald listen` needs the package 'herald_client': install herald-client, which is `clients/python`"
            " in Herald's repository.\n"
        )

    def test_version(self) -> None:
        assert herald("version").output.startswith("herald")


class TestRun:
    def test_options_take_precedence_over_the_environment(self, started: list[Settings]) -> None:
        result = herald("dev", "--port", "9001", "--profile", "groups,signals", HERALD_PORT="9000")
        assert result.exit_code == 3
        (settings,) = started
        assert (settings.mode, settings.server.port, settings.routing.profile) == ("dev", 9001, ("groups", "signals"))
        assert settings.came_from["server.port"] == "--port"

    def test_serve(self, started: list[Settings]) -> None:
        assert herald("serve", HERALD_AUTH="open", HERALD_BROKER="kafka").exit_code == 3
        assert (started[0].mode, started[0].routing.broker) == ("serve", "kafka")
        assert herald("serve", "--migrate", HERALD_AUTH="open", HERALD_BROKER="kafka").exit_code == 4

    @pytest.mark.parametrize(
        ("arguments", "environ", "words"),
        [
            (["serve"], {}, "HERALD_JWT_SECRET"),
            (["serve"], {"HERALD_AUTH": "opne"}, "HERALD_AUTH"),
            (["serve"], {"HERALD_JWT_SECRET": "short"}, "HERALD_JWT_SECRET"),
            (["serve"], {"HERALD_AUTH": "open", "RABBITMQ_HOST": "rabbit:5672"}, "RABBITMQ_HOST"),
            (["dev"], {"HERALD_PROT": "1"}, "HERALD_PORT"),
            (["dev", "--port", "x"], {}, "--port must be"),
            (["dev", "--profile", "group"], {}, "did you mean groups"),
            (["dev", "--routes", "/no/such/file"], {}, "/no/such/file"),
        ],
    )
    def test_invalid_settings_are_one_line_and_exit_code_2(
        self, started: list[Settings], arguments: list[str], environ: dict[str, str], words: str
    ) -> None:
        result = herald(*arguments, **environ)
        assert result.exit_code == 2
        assert result.stdout == ""
        assert words in result.stderr
        assert result.stderr.count("\n") == 1
        assert not started


class TestPublish:
    def test_json_is_sent_unchanged(self, service: Events, tmp_path: Path) -> None:
        payload = b'{"price": 1.10, "big": 12345678901234567890.0001,\n "a": [1e300]}'
        (file := tmp_path / "event.json").write_bytes(b"\n" + payload + b"\n")
        result = herald("publish", "trading_signals", str(file), "--url", service.url, "--id", "7", "--type", "t")
        assert result.output == "Accepted: 7\n"
        (body,) = service.bodies
        assert payload in body
        sent = json.loads(body)
        assert (sent["source"], sent["id"], sent["type"]) == ("trading_signals", "7", "t")
        assert "key" not in sent

    @pytest.mark.parametrize("text", ["BUY ACME\n", "{half", "€ 5", "[" * 10_000 + "]" * 10_000])
    def test_other_text_is_sent_as_a_string(self, service: Events, text: str) -> None:
        result = herald("publish", "trading_signals", "-", input=text, HERALD_URL=service.url)
        assert result.exit_code == 0
        assert json.loads(service.bodies[0])["payload"] == text

    def test_the_token_is_sent_in_the_header_only(self, service: Events) -> None:
        result = herald("publish", "s", "-", input="1", HERALD_URL=service.url, HERALD_TOKEN="abc.def")
        assert service.headers[0]["authorization"] == "Bearer abc.def"
        assert "abc.def" not in result.output

    def test_lines_are_sent_in_lists(self, service: Events) -> None:
        text = "".join(f'{{"n": {n}}}\r\n' for n in range(1001)) + "\n  \nno json"
        result = herald("publish", "s", "-", "--lines", "--key", "k", "--url", service.url, input=text)
        assert result.output == "Accepted: 1002 events\n"
        sent = [json.loads(body) for body in service.bodies]
        assert [len(events) for events in sent] == [500, 500, 2]
        assert [event["payload"] for events in sent for event in events] == [{"n": n} for n in range(1001)] + [
            "no json"
        ]
        assert {event["key"] for events in sent for event in events} == {"k"}

    def test_lists_are_limited_in_bytes(self) -> None:
        events = [b"x" * 400_000] * 5
        assert [body.count(b",") + 1 for body in publish.in_lists(events)] == [2, 2, 1]

    def test_an_empty_file_of_lines_publishes_nothing(self, service: Events) -> None:
        assert herald("publish", "s", "-", "--lines", "--url", service.url).output == "Accepted: 0 events\n"
        assert not service.bodies

    def test_a_refusal_shows_the_text_of_its_problem(self, service: Events) -> None:
        service.refuse_after = 0
        result = herald("publish", "s", "-", "--url", service.url, input="1")
        assert (result.exit_code, result.stdout) == (1, "")
        assert result.stderr == "Error: Refused with 403: Not yours: Ask for events:publish.\n"

    def test_a_missing_token_is_answered_with_how_to_give_one(self, service: Events) -> None:
        service.refuse_after, service.refusal = 0, (401, b'{"detail": "A token is needed."}')
        arguments = ("publish", "s", "-", "--url", service.url)
        assert (
            "A token is needed. Give one by the option --token, or set HERALD_TOKEN"
            in herald(*arguments, input="1").stderr
        )
        assert "HERALD_TOKEN" not in herald(*arguments, "--token", "x", input="1").stderr

    @pytest.mark.parametrize(
        ("answer", "words"),
        [(b'{"title": "No."}', "No"), (b'{"detail": "No."}', "No."), (b"{}", "Bad Gateway"), (b"5", "Bad Gateway")],
    )
    def test_a_refusal_with_an_incomplete_problem(self, service: Events, answer: bytes, words: str) -> None:
        service.refuse_after, service.refusal = 0, (502, answer)
        assert (
            herald("publish", "s", "-", "--url", service.url, input="1").stderr == f"Error: Refused with 502: {words}\n"
        )

    @pytest.mark.parametrize("answer", [b"", b"<html>", b"[]", b'{"title": 5}'])
    def test_a_refusal_without_a_problem_document(self, service: Events, answer: bytes) -> None:
        service.refuse_after, service.refusal = 0, (502, answer)
        result = herald("publish", "s", "-", "--url", service.url, input="1")
        assert (result.exit_code, result.stderr) == (1, "Error: Refused with 502: Bad Gateway\n")

    def test_events_accepted_before_a_refusal_are_reported(self, service: Events) -> None:
        service.refuse_after = 1
        result = herald("publish", "s", "-", "--lines", "--url", service.url, input="1\n" * 600)
        assert result.exit_code == 1
        assert "500 events were accepted before" in result.stderr

    def test_a_202_of_another_service_is_an_error(self, service: Events) -> None:
        service.refuse_after, service.refusal = 0, (202, b"ok")
        assert "is not a response of Herald" in herald("publish", "s", "-", "--url", service.url, input="1").stderr

    def test_an_unreachable_server_is_reported(self) -> None:
        with Events() as server:
            url = server.url
        result = herald("publish", "s", "-", "--url", url, input="1")
        assert (result.exit_code, result.stderr) == (
            1,
            f"Error: No server responds at {url}: is Herald running there?\n",
        )

    @pytest.mark.parametrize(
        ("arguments", "code", "words"),
        [
            (["s", "/no/such/file"], 1, "No such file"),
            (["s", "-", "--url", "ftp://x"], 2, "--url must be a URL"),
            (["s", "-", "--lines", "--id", "1"], 2, "Use either --id or --lines"),
        ],
    )
    def test_invalid_arguments_are_errors(self, arguments: list[str], code: int, words: str) -> None:
        result = herald("publish", *arguments, input="1")
        assert result.exit_code == code
        assert words in result.stderr

    def test_an_event_that_is_not_utf8_is_refused(self, service: Events) -> None:
        result = herald("publish", "s", "-", "--url", service.url, input=b"caf\xe9")
        assert (result.exit_code, result.stderr) == (1, "Error: The event is not UTF-8 from byte 3 on.\n")
        assert not service.bodies

    def test_it_needs_no_jwt_key(self, service: Events) -> None:
        assert herald("publish", "s", "-", input="1", HERALD_AUTH="jwt", HERALD_URL=service.url).exit_code == 0


class TestRoutes:
    ROUTES = 'profile = "mine"\n[[routes]]\nsource = "a.#"\ntype = "t"\nusers = ["to", "cc"]\n'

    @pytest.fixture
    def file(self, tmp_path: Path) -> str:
        (file := tmp_path / "routes.toml").write_text(self.ROUTES)
        return str(file)

    def test_check_summarises_the_routes(self, file: str) -> None:
        result = herald("routes", "check", file)
        assert result.exit_code == 0
        assert "profile mine, events from kafka, 1 route" in result.output
        assert "1. a.# of type t: users to, cc" in result.output

    def test_check_warns_of_recipient_lists_stored_with_every_notification(self, tmp_path: Path) -> None:
        (file := tmp_path / "routes.toml").write_text(self.ROUTES.replace('"cc"', '"watchers"'))
        result = herald("routes", "check", str(file))
        assert result.exit_code == 0
        assert f"{file}: warning: route 1 ('a.#'): users: 'watchers' may be a list" in result.stderr

    def test_check_warns_of_texts_whose_fields_may_be_missing(self, tmp_path: Path) -> None:
        (file := tmp_path / "routes.toml").write_text(self.ROUTES + 'inbox = { title = "{name}", message = "{by|}" }\n')
        result = herald("routes", "check", str(file))
        assert result.exit_code == 0
        assert f"{file}: warning: route 1 ('a.#'): inbox.title: if an event lacks {{name}}" in result.stderr
        assert "inbox.message" not in result.stderr

    def test_check_lists_types_with_their_titles(self, tmp_path: Path) -> None:
        types = '[types.t]\ntitle = "Things \\u009b"\n'
        (file := tmp_path / "routes.toml").write_text(self.ROUTES.replace("[[", f"{types}[[", 1))
        assert "types.t: title: contains a line break" in herald("routes", "check", str(file)).stderr
        file.write_text(file.read_text().replace(" \\u009b", ""))
        assert "type t: Things\n" in herald("routes", "check", str(file)).stdout
        file.write_text(file.read_text().replace("types.t", "types.u"))
        shown = herald("routes", "check", str(file))
        assert "type t: T\n" in shown.stdout
        assert f"{file}: warning: types.u: no route of this profile leads to notifications of" in shown.stderr

    def test_explain_shows_the_url_or_why_there_is_none(self, tmp_path: Path) -> None:
        inbox = 'inbox = { title = "x", url = "{link}" }\n'
        email = 'email = { to = "m", subject = "s", template = "order_created.html" }\n'
        (file := tmp_path / "routes.toml").write_text(self.ROUTES + inbox + email)
        event = {"type": "t", "to": "ada", "m": "a@b.example", "link": "/ü"}
        shown = herald("routes", "explain", str(file), "-", "--source", "a.b", input=json.dumps(event)).output
        assert "url          /%C3%BC\n" in shown
        assert "template order_created.html, url /%C3%BC\n" in shown
        event["link"] = "//evil.example"
        shown = herald("routes", "explain", str(file), "-", "--source", "a.b", input=json.dumps(event)).output
        assert "no url       mine/1: the url is refused: it is neither an http or https URL" in shown
        assert "\nurl " not in shown

    def test_check_reports_errors(self, tmp_path: Path) -> None:
        (file := tmp_path / "routes.toml").write_text(self.ROUTES + 'feed = "x"\n')
        result = herald("routes", "check", str(file))
        assert (result.exit_code, result.stdout) == (1, "")
        assert "route 1 ('a.#'): feed: 'x' is not declared" in result.stderr
        assert herald("routes", "check", "/no/such/file").exit_code == 1

    def test_check_of_files_folders_and_shipped_profiles_together(self, file: str, tmp_path: Path) -> None:
        (folder := tmp_path / "more").mkdir()
        (folder / "other.toml").write_text(self.ROUTES.replace('"mine"', '"other"'))
        (folder / "other.toml~").write_text("")
        result = herald("routes", "check", file, str(folder), "shipped:signals")
        assert result.exit_code == 0
        for line in (
            f"{file}: profile mine, events from kafka, 1 routes, valid.",
            f"{folder}/other.toml: profile other, events from kafka, 1 routes, valid.",
            "shipped:signals: profile signals, ",
        ):
            assert line in result.stdout
        assert f"{folder}/other.toml~: warning: this is not read" in result.stderr
        (folder / "third.toml").write_text(self.ROUTES)
        result = herald("routes", "check", file, str(folder))
        assert (result.exit_code, result.stdout) == (1, "")
        assert f"{folder}/third.toml: profile: {file} has the name 'mine', too" in result.stderr

    def test_check_without_files_loads_what_the_settings_name(self, file: str) -> None:
        shown = herald("routes", "check", HERALD_PROFILE="signals", HERALD_SOURCES_SIGNALS="mine.signals").stdout
        assert shown.startswith("shipped:signals: profile signals, ")
        assert "1. mine.signals: feed signals" in shown
        shown = herald("routes", "check", HERALD_ROUTES=f"{file},shipped:orders").stdout
        assert (f"{file}: profile mine, " in shown, "shipped:orders: profile orders, " in shown) == (True, True)
        assert herald("routes", "check", HERALD_ROUTES="/no/such/file").exit_code == 1

    def test_check_of_one_file_ignores_names_for_sources_of_others(self, file: str) -> None:
        # The file may be one of several that the settings name.
        assert herald("routes", "check", file, HERALD_SOURCES_OTHER="a=b").exit_code == 0
        refused = herald("routes", "check", HERALD_ROUTES=file, HERALD_SOURCES_OTHER="a=b")
        assert "HERALD_SOURCES_OTHER: no profile of this name is loaded" in refused.stderr

    def test_a_missing_mail_template_is_reported_with_its_file(self, file: str) -> None:
        Path(file).write_text(self.ROUTES + 'email = { to = "to", subject = "s", template = "none.html" }\n')
        refused = herald("routes", "check", "shipped:orders", file)
        assert refused.exit_code == 1
        assert f"{file}: route 1 ('a.#'): email.template: " in refused.stderr

    def test_explain_with_the_shipped_profiles(self, tmp_path: Path) -> None:
        event = {"event_id": "e-1", "receivers": ["u-1", 2], "data": {"group_name": "Family", "user_to_add_id": "u-1"}}
        (file := tmp_path / "event.json").write_text(json.dumps(event))
        output = herald("routes", "explain", str(file), "--source", ADD_USERS).output
        for line in (
            "event        e-1",
            f"route        groups, route 1 ({ADD_USERS})",
            "recipients   u-1, 2",
            "streams      inbox:u-1, inbox:2",
            "title        Added to Family",
            '  WebSocket  {"event_type":"group_user_added","data":{"group_name":"Family","user_to_add_id":"u-1"}}',
            '  SSE        data: {"event_type":"group_user_added",',
            '  herald.v1  {"kind":"notification","stream":"inbox","seq":1,',
        ):
            assert line in output

    def test_explain_names_lines_that_lack_a_field(self) -> None:
        event = '{"receivers": ["u-1"], "group_name": "Family", "user_to_add_identifier": "kim"}'
        output = herald("routes", "explain", "-", "--source", ADD_USERS, input=event).output
        lost = "             inbox.message: the event lacks {requester_username}: the message is empty\n"
        assert f"route        groups, route 1 ({ADD_USERS})\n{lost}" in output
        event = '{"customer_email": "kim@example.com"}'
        output = herald("routes", "explain", "-", "--source", "order.created", input=event).output
        assert "             email.subject: the event lacks {order_id}: its mail fails\n" in output

    def test_a_record_without_a_value(self, file: str, tmp_path: Path) -> None:
        (other := tmp_path / "other.toml").write_text(self.ROUTES + 'tombstone = "dead-letter"\n')
        assert "users to, cc; tombstone dead-letter" in herald("routes", "check", str(other)).output
        ignored = herald("routes", "explain", file, "--tombstone", "--source", "a.b").output
        assert "ignored      tombstone: it has no value" in ignored
        kept = herald("routes", "explain", str(other), "--tombstone", "--source", "a.b").output
        assert "dead letter  tombstone: The record has no value" in kept
        assert "ignored" in herald("routes", "explain", "--tombstone", "--source", ADD_USERS).output

    def test_explain_with_a_routes_file(self, file: str) -> None:
        output = herald("routes", "explain", file, "-", "--source", "a.b", input='{"type": "t", "cc": ["x"]}').output
        assert "route        mine, route 1 (a.#)" in output
        assert "recipients   x" in output
        output = herald(
            "routes", "explain", file, "shipped:signals", "-", "--source", "a", input='{"type": "t"}'
        ).output
        assert "route        mine, route 1 (a.#)" in output

    def test_explain_uses_the_routes_of_the_server(self, file: str) -> None:
        arguments, event = ("routes", "explain", "-", "--source", "a.b"), '{"type": "t", "to": "x"}'
        assert "route        mine, route 1 (a.#)" in herald(*arguments, input=event, HERALD_ROUTES=file).output
        other = herald(*arguments, "--profile", "signals", input=event, HERALD_ROUTES=file).output
        assert "dead letter  no_route" in other

    def test_explain_a_feed_and_a_mail(self) -> None:
        event = '{"order_id": 7, "customer_email": "kim@example.com"}'
        output = herald("routes", "explain", "-", "--source", "order.created", input=event).output
        for line in (
            "recipients   subscribers of orders (signed-in)",
            "endpoints    ws /ws (orders); clients of herald.v1: all",
            "stream       feed:orders",
            "mail         to kim@example.com, subject 'Order 7 received'",
        ):
            assert line in output

    def test_explain_a_sign_out(self) -> None:
        source = "user_service.user.logout_account"
        assert (
            "sign-out     u-1" in herald("routes", "explain", "-", "--source", source, input='{"user_id":"u-1"}').output
        )

    def test_explain_text_of_several_lines(self) -> None:
        output = herald("routes", "explain", "-", "--source", "trading_signals", input="BUY\nACME").output
        assert "  SSE        data: BUY\n             data: ACME\n" in output

    @pytest.mark.parametrize(
        ("source", "body", "reason"),
        [
            ("risk-events", b"{}", "no_recipient"),
            ("risk-events", b"{", "not_json"),
            ("risk-events", b"\xff", "not_utf8"),
            ("nowhere", b"{}", "no_route"),
        ],
    )
    def test_explain_a_dead_letter(self, source: str, body: bytes, reason: str) -> None:
        result = herald("routes", "explain", "-", "--source", source, input=body)
        assert f"dead letter  {reason}: " in result.output
        assert result.exit_code == 1

    def test_explain_an_unknown_source_names_a_similar_one(self, file: str) -> None:
        result = herald("routes", "explain", file, "shipped:orders", "-", "--source", "order.creatd", input="{}")
        assert "             no route has this source: did you mean 'order.created'?" in result.output
        result = herald("routes", "explain", file, "-", "--source", "zzz", input="{}")
        assert "no route has this source: `herald routes check` lists those of the routes" in result.output

    def test_explain_says_why_a_user_is_not_notified(self, tmp_path: Path) -> None:
        (file := tmp_path / "routes.toml").write_text(
            'profile = "desk"\n[[routes]]\nsource = "t"\ntype = "x"\nusers = ["a"]\n'
            '[[routes]]\nsource = "t"\nwhen = { n = { min = 3 } }\nusers = ["a"]\n'
            '[[routes]]\nsource = "t"\nusers = ["a", "b"]\nexclude = ["by.id"]\n'
        )
        event = '{"a": ["ada", "kim"], "b": "bob", "by": {"id": "ada"}}'
        result = herald("routes", "explain", str(file), "-", "--source", "t", input=event)
        assert result.exit_code == 0
        assert [line for line in result.output.splitlines() if line.startswith("not notified")] == [
            "not notified ada: desk/1 is for events of type 'x'; desk/2 does not apply: when.n; desk/3 excludes this"
            " user: by.id"
        ]
        assert "preferences  users who have muted the type 't' find it in the inbox only" in result.output

    def test_explain_a_drop(self, tmp_path: Path) -> None:
        (file := tmp_path / "routes.toml").write_text(self.ROUTES + 'otherwise = "drop"\n')
        output = herald("routes", "explain", str(file), "-", "--source", "a", input='{"type": "t"}').output
        assert "dropped" in output

    def test_explain_names_conditions_and_exclusions(self, tmp_path: Path) -> None:
        (file := tmp_path / "routes.toml").write_text(
            'profile = "desk"\n[[routes]]\nsource = "t"\n'
            'when = { "ticket.size" = { min = 3 }, kind = ["bug", "task"] }\n'
            'users = ["to"]\n[[routes]]\nsource = "t"\nusers = ["watchers[].id"]\nexclude = ["by"]\n'
        )
        arguments = ("routes", "explain", str(file), "-", "--source", "t")
        event = {"ticket": {"size": 2}, "by": "ada", "watchers": [{"id": "ada"}, {"id": "bob"}], "kind": {}}
        output = herald(*arguments, input=json.dumps(event)).output
        assert (
            "route        desk, route 1 (t): does not apply\n"
            "             when.ticket.size: expected at least 3, found 2\n"
            '             when.kind: expected "bug" or "task", found an object\n'
            "route        desk, route 2 (t)\n"
            "             exclude: leaves out ada\n"
            "recipients   bob\n"
        ) in output
        output = herald(*arguments, input='{"by": "ada", "watchers": [{"id": "ada"}]}').output
        assert "ignored      excluded: routes exclude every user that it names" in output
        output = herald(*arguments, input="no json").output
        assert "             when: only a JSON object can fulfil conditions\n" in output
        assert "dead letter  not_json" in output

    def test_explain_an_event_that_no_route_wants(self, tmp_path: Path) -> None:
        (file := tmp_path / "routes.toml").write_text(self.ROUTES + "when = { kind = { present = true } }\n")
        output = herald("routes", "explain", str(file), "-", "--source", "a", input='{"type": "t", "to": "x"}').output
        assert "             when.kind: expected a value, found nothing\n" in output
        assert "ignored      filtered: it does not fulfil the conditions of any route of its source" in output
        assert "when kind; users to, cc" in herald("routes", "check", str(file)).output

    def test_explain_with_selected_profiles(self) -> None:
        arguments = ("routes", "explain", "-", "--source", "trading_signals", "--profile")
        assert "no_route" in herald(*arguments, "groups,orders", input="x").output
        assert herald(*arguments, "group", input="x").exit_code == 2

    @pytest.mark.parametrize(
        "arguments", [["a", "b", "--profile", "groups"], ["a", "--tombstone", "--profile", "groups"], []]
    )
    def test_explain_accepts_only_one_event(self, arguments: list[str]) -> None:
        assert herald("routes", "explain", "--source", "s", *arguments).exit_code == 2

    def test_explain_of_a_missing_file_is_an_error(self) -> None:
        result = herald("routes", "explain", "/no/such/file", "--source", "s")
        assert (result.exit_code, "No such file" in result.stderr) == (1, True)


class TestConfig:
    def test_dev_needs_no_settings(self) -> None:
        result = herald("config", "--mode", "dev", SERVICE_NAME="notification")
        assert result.exit_code == 0
        assert ["SERVICE_NAME", "notification", "SERVICE_NAME"] in [line.split() for line in result.output.splitlines()]

    def test_new_names_of_sources_have_a_line_for_each_profile(self) -> None:
        assert "HERALD_SOURCES_<PROFILE> not set default" in " ".join(herald("config", "--mode", "dev").output.split())
        names = {"HERALD_SOURCES_SIGNALS": "mine", "HERALD_SOURCES_ORDERS": "order.created = new"}
        shown = " ".join(herald("config", "--mode", "dev", **names).output.split())
        assert "HERALD_SOURCES_ORDERS order.created=new HERALD_SOURCES_ORDERS" in shown
        assert "HERALD_SOURCES_SIGNALS mine HERALD_SOURCES_SIGNALS" in shown
        result = herald("config", "--mode", "dev", HERALD_SOURCES_ORDER="x")
        assert result.exit_code == 2
        assert "did you mean HERALD_SOURCES_ORDERS?" in result.stderr

    def test_settings_are_shown_even_if_serve_lacks_a_required_one(self) -> None:
        result = herald("config")
        assert result.exit_code == 2
        assert "HERALD_HOST" in result.stdout
        assert "no key to verify tokens" in result.stderr

    def test_secrets_are_not_shown(self) -> None:
        secret = "0123456789abcdef0123456789abcdef"
        names = ("HERALD_JWT_SECRET", "HERALD_KAFKA_SASL_PASSWORD", "HERALD_TOKEN", "RABBITMQ_PASS")
        urls = {"DATABASE_URL": f"postgresql://u:{secret}@h/x", "REDIS_URL": f"redis://u:{secret}@h/1"}
        result = herald("config", "--mode", "dev", **dict.fromkeys(names, secret), **urls)
        assert result.exit_code == 0
        assert secret not in result.output
