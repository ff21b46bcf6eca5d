"""Settings from the environment and the command line."""

from pathlib import Path
from socket import gethostname
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st
from pamqp.commands import Exchange, Queue

from adapters.kafka.settings import KafkaSettings
from adapters.rabbitmq.connection_parameters import address
from adapters.rabbitmq.settings import RabbitSettings
from adapters.web.origins_and_hosts import Origins
from domain.setting_declarations import masked, settings_of
from entrypoints.settings.all_settings import SECTIONS
from entrypoints.settings.loader import NAMES, SETTINGS, Mode, Settings, SettingsInvalid, load, read, table

SECRET = "a secret of more than thirty-two bytes"
PEM = (
    generate_private_key(SECP256R1())
    .public_key()
    .public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    .decode()
)


def dev(**environ: str) -> Settings:
    return load(environ, "dev", {})


def serve(**environ: str) -> Settings:
    return load({"HERALD_AUTH": "open", **environ}, "serve", {})


def refusal(mode: Mode = "dev", /, **environ: str) -> str:
    with pytest.raises(SettingsInvalid) as caught:
        load(environ, mode, {})
    return str(caught.value)


def attempt(**environ: str) -> Settings | str:
    """Return the settings, or the error that refuses them."""
    try:
        return dev(**environ)
    except SettingsInvalid as refused:
        return str(refused)


class TestDefaults:
    def test_dev_needs_nothing_and_listens_on_loopback(self) -> None:
        settings = dev()
        assert (settings.server.host, settings.server.port, settings.server.auth, settings.routing.broker) == (
            "127.0.0.1",
            8000,
            "open",
            "memory",
        )
        assert settings.logs.format == "console"
        assert settings.routing.profile == ("all",)
        assert settings.client.url == "http://127.0.0.1:8000"

    def test_serve_listens_on_all_addresses_and_uses_each_profiles_broker(self) -> None:
        settings = serve()
        assert (settings.server.host, settings.routing.broker, settings.logs.format) == ("0.0.0.0", None, "json")
        assert settings.web.origins is None

    def test_in_dev_only_origins_of_this_machine_are_allowed(self) -> None:
        origins = Origins(dev().web.origins)
        for own in ("http://localhost:3000", "https://127.0.0.1", "http://[::1]:8000"):
            assert origins.allow(own)
        assert not origins.allow("https://localhost.example")

    def test_every_value_has_the_type_of_its_field(self) -> None:
        for settings in (dev(), serve()):
            for section in settings.sections():
                plain = {field: getattr(section, field) for field in section.__struct_fields__}
                assert msgspec.convert(plain, type(section), strict=True) == section

    def test_default_numbers(self) -> None:
        settings = dev()
        assert (settings.server.drain_seconds, settings.sessions.heartbeat_s) == (10, 30)
        assert (settings.limits.event_bytes, settings.hub.sessions_per_user) == (1_048_576, 100)

    def test_the_url_follows_the_port(self) -> None:
        assert dev(HERALD_PORT="9000").client.url == "http://127.0.0.1:9000"
        assert dev(HERALD_PORT="9000", HERALD_URL="https://herald.example/").client.url == "https://herald.example"


class TestPrecedence:
    def test_option_before_environment_before_default(self) -> None:
        settings = load({"HERALD_PORT": "9000", "WS_HOST": "127.0.0.2"}, "dev", {"server.port": "9001"})
        assert (settings.server.port, settings.came_from["server.port"]) == (9001, "--port")
        assert (settings.server.host, settings.came_from["server.host"]) == ("127.0.0.2", "WS_HOST")
        assert settings.came_from["server.auth"] == "default"

    @pytest.mark.parametrize(
        ("environ", "port", "origin"),
        [
            ({"HERALD_PORT": "1", "PORT": "2", "WS_PORT": "3"}, 1, "HERALD_PORT"),
            ({"PORT": "2", "WS_PORT": "3"}, 2, "PORT"),
            ({"WS_PORT": "3"}, 3, "WS_PORT"),
            ({"HERALD_PORT": " ", "PORT": "2"}, 2, "PORT"),
        ],
    )
    def test_the_first_name_that_is_set_applies(self, environ: dict[str, str], port: int, origin: str) -> None:
        settings = dev(**environ)
        assert (settings.server.port, settings.came_from["server.port"]) == (port, origin)

    @given(st.sampled_from(sorted(NAMES)), st.sampled_from(["", " ", "\n", ",", " , "]))
    def test_an_empty_value_counts_as_not_set(self, name: str, nothing: str) -> None:
        assert read({name: nothing}, "dev", {}) == read({}, "dev", {})

    def test_every_field_has_a_known_origin(self) -> None:
        assert set(dev().came_from) == set(SETTINGS)
        assert {f"{name}.{field}" for name, kind in SECTIONS.items() for field in settings_of(kind)} == set(SETTINGS)


class TestNames:
    def test_a_misspelt_name_is_refused_with_a_suggestion(self) -> None:
        assert (
            refusal(HERALD_PROFLIE="all") == "HERALD_PROFLIE is not a setting of Herald: did you mean HERALD_PROFILE?"
        )
        assert "did you mean HERALD_JWT_PUBLIC_KEY?" in refusal(HERALD_JWT_PUBKEY="x")

    @given(st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZ_", min_size=1, max_size=30))
    def test_unknown_herald_names_are_refused(self, rest: str) -> None:
        name = f"HERALD_{rest}"
        known = name in NAMES or name in ("HERALD_REQUIRE_REAL", "HERALD_KAFKA_HOME")
        if not known and not name.startswith(("HERALD_SERVICE_", "HERALD_PORT_")):
            assert refusal(**{name: "x"}).startswith(f"{name} is not a setting")

    def test_the_value_of_a_misspelt_secret_is_not_repeated(self) -> None:
        assert "hunter2" not in refusal(HERALD_JWT_SECRETT="hunter2")

    def test_variables_injected_by_kubernetes_are_ignored(self) -> None:
        settings = dev(
            HERALD_SERVICE_HOST="10.0.0.1",
            HERALD_SERVICE_PORT_HTTP="80",
            HERALD_PORT="tcp://10.0.0.1:80",
            HERALD_PORT_80_TCP_ADDR="10.0.0.1",
            SMTP_PORT="tcp://10.0.0.2:25",
        )
        assert (settings.server.port, settings.came_from["server.port"]) == (8000, "default")
        assert settings.smtp.port is None

    def test_variables_of_tests_and_other_programs_are_ignored(self) -> None:
        dev(HERALD_REQUIRE_REAL="1", HERALD_KAFKA_HOME="/x", HERALDRY="x", KAFKA_HOME="/x")


class TestValues:
    @pytest.mark.parametrize(
        ("name", "value", "reason"),
        [
            ("HERALD_PORT", "0", "must be a whole number from 1 to 65535, not '0'"),
            ("HERALD_PORT", "65536", "from 1 to 65535"),
            ("PORT", "http", "PORT must be"),
            ("HERALD_AUTH", "none", "must be jwt or open, not 'none'"),
            ("HERALD_BROKER", "nats", "must be kafka, rabbitmq or memory, not 'nats'"),
            ("HERALD_KAFKA_START", "now", "latest or earliest"),
            ("HERALD_KAFKA_SECURITY_PROTOCOL", "TLS", "PLAINTEXT, SSL"),
            ("HERALD_DRAIN_SECONDS", "0", "seconds above 0"),
            ("HERALD_DRAIN_SECONDS", "inf", "seconds above 0"),
            ("HERALD_HEARTBEAT_SECONDS", "nan", "seconds above 0"),
            ("HERALD_HEARTBEAT_SECONDS", "soon", "not 'soon'"),
            ("HERALD_MAX_EVENT_BYTES", "-1", "of at least 1"),
            ("HERALD_MAX_SESSIONS_PER_USER", "1e3", "of at least 1"),
            ("HERALD_LOG_FORMAT", "xml", "console or json"),
            ("LOG_LEVEL", "loud", "DEBUG, INFO"),
            ("HERALD_URL", "localhost:8000", "must be a URL"),
            ("HERALD_URL", "http://[", "must be a URL"),
            ("HERALD_JWT_JWKS_URL", "file:///keys", "must be a URL"),
            ("HERALD_ORIGINS", "shop.example", "'shop.example' is not"),
            ("HERALD_ORIGINS", "*, https://shop.example", "'*' is not"),
            ("HERALD_ORIGINS", "https://shop.example/", "is not"),
            ("KAFKA_BROKERS", "kafka:9092, PLAINTEXT://kafka:9092", "must be host:port"),
            ("RABBITMQ_QUEUE", "grün", "must be letters, digits and - _ . : @ # , / or blanks"),
            ("RABBITMQ_QUEUE", "a\nb", "127 at most"),
            ("RABBITMQ_EXCHANGE", "x" * 128, "127 at most"),
            ("HERALD_PRODUCTS_TOPICS", "a,b c", "has the topic 'b c'"),
            ("HERALD_KAFKA_SSL_CAFILE", "/no/such/file", "can't be read: No such file"),
            ("HERALD_JWT_PUBLIC_KEY", "/no/such/file", "can't be read: No such file"),
            ("HERALD_JWT_PUBLIC_KEY", "a\0b", "is not a valid path"),
        ],
    )
    def test_errors_name_the_variable_and_the_reason(self, name: str, value: str, reason: str) -> None:
        words = refusal(**{name: value})
        assert words.startswith(f"{name} ")
        assert reason in words

    def test_an_invalid_option_is_named_as_an_option(self) -> None:
        with pytest.raises(SettingsInvalid, match=r"^--port must be"):
            load({}, "dev", {"server.port": "x"})

    @given(st.integers(1, 65_535))
    def test_every_port_is_accepted(self, port: int) -> None:
        assert dev(HERALD_PORT=f" {port}\n").server.port == port

    @pytest.mark.parametrize(
        ("value", "url"),
        [
            ("https://Shop.example/herald/", "https://shop.example/herald"),
            (" http://localhost:8000 ", "http://localhost:8000"),
            ("https://shop.example:443", "https://shop.example"),
            ("https://[::1]:8443/a/b", "https://[::1]:8443/a/b"),
        ],
    )
    def test_a_public_url(self, value: str, url: str) -> None:
        assert dev(HERALD_PUBLIC_URL=value).web.public_url == url

    @pytest.mark.parametrize(
        "value",
        [
            "/herald", "shop.example", "//shop.example", "ftp://shop.example", "https://", "https://h?x=1", "https://h/#a",
            "https://u:SECRET@h/", "https://h/a b", 'https://h/"x', "https://h/<x>", "https://h/'x", "https://h//a",
            "https://h/a/../b", "https://h:0", "https://h:99999", "https://h:x", "https://bücher.example", "https://[::1",
        ],
    )  # fmt: skip
    def test_an_invalid_public_url_is_refused_and_not_repeated(self, value: str) -> None:
        assert refusal(HERALD_PUBLIC_URL=value) == (
            "HERALD_PUBLIC_URL must be http:// or https://, a host and at most a port and a path, such as"
            " https://shop.example/herald."
        )

    @given(st.text())
    def test_any_text_is_a_public_url_or_is_refused(self, value: str) -> None:
        outcome = attempt(HERALD_PUBLIC_URL=value)
        assert isinstance(outcome, str) or (outcome.web.public_url or "").isascii()

    @given(st.text())
    def test_any_text_is_a_port_or_is_refused(self, value: str) -> None:
        outcome = attempt(PORT=value)
        assert outcome.startswith("PORT must be") if isinstance(outcome, str) else 1 <= outcome.server.port <= 65_535

    @given(st.sampled_from(sorted(NAMES)), st.text(max_size=50))
    def test_no_text_causes_another_error_than_a_refusal(self, name: str, value: str) -> None:
        outcome = attempt(**{name: value})
        assert name in outcome if isinstance(outcome, str) else table(outcome)

    def test_keywords_are_case_insensitive(self) -> None:
        assert dev(LOG_LEVEL="debug").logs.level == "DEBUG"
        assert dev(HERALD_KAFKA_SECURITY_PROTOCOL="ssl").of(KafkaSettings).security_protocol == "SSL"

    def test_lists(self) -> None:
        settings = dev(HERALD_PROFILE="groups, orders,,groups", HERALD_PRODUCTS_TOPICS="shop.new,shop.sold")
        assert settings.routing.profile == ("groups", "orders")
        assert settings.routing.products_topics == ("shop.new", "shop.sold")

    def test_origins(self) -> None:
        assert serve(HERALD_ORIGINS="*").web.origins is None
        assert serve(HERALD_ORIGINS="https://Shop.example:8443, loopback").web.origins == (
            "https://shop.example:8443",
            "loopback",
        )


class TestKafka:
    def test_brokers_by_either_name(self) -> None:
        assert dev().of(KafkaSettings).servers == "localhost:9092"
        assert dev(REDPANDA_BROKERS="redpanda:9092").of(KafkaSettings).servers == "redpanda:9092"
        assert dev(KAFKA_BROKERS="a:1, [::1]:2,c").of(KafkaSettings).servers == "a:1,[::1]:2,c"

    def test_both_names_must_agree(self) -> None:
        assert dev(KAFKA_BROKERS="a:1", REDPANDA_BROKERS="a:1").of(KafkaSettings).servers == "a:1"
        assert "KAFKA_BROKERS and REDPANDA_BROKERS" in refusal(KAFKA_BROKERS="a:1", REDPANDA_BROKERS="b:1")

    def test_sasl_requires_a_user(self) -> None:
        words = refusal(HERALD_KAFKA_SECURITY_PROTOCOL="SASL_SSL", HERALD_KAFKA_SASL_PASSWORD="hunter2")
        assert "HERALD_KAFKA_SASL_USERNAME" in words
        assert "hunter2" not in words

    def test_a_mechanism_requires_sasl(self) -> None:
        assert "HERALD_KAFKA_SECURITY_PROTOCOL" in refusal(HERALD_KAFKA_SASL_MECHANISM="PLAIN")

    def test_rabbitmq_is_accepted_in_both_modes(self) -> None:
        assert dev(HERALD_BROKER="rabbitmq").routing.broker == "rabbitmq"
        assert serve(HERALD_BROKER="rabbitmq").routing.broker == "rabbitmq"


class TestNamesAndHosts:
    @pytest.mark.parametrize("name", ["orders", "a-b_C.9:d@e#f,g/h", "two words", "x" * 127])
    def test_every_valid_amqp_name_is_accepted(self, name: str) -> None:
        settings = dev(RABBITMQ_EXCHANGE=name, RABBITMQ_QUEUE=f" {name} ")
        assert (settings.of(RabbitSettings).exchange, settings.of(RabbitSettings).queue) == (name, name)
        Exchange.Declare(exchange=name).validate()
        Queue.Declare(queue=name).validate()

    @pytest.mark.parametrize("name", ["RABBITMQ_HOST", "SMTP_HOST"])
    @pytest.mark.parametrize(
        "host", ["localhost", "rabbit_1", "MAIL.shop.example.", "bücher.example", "127.0.0.1", "::1", "fe80::1%eth0"]
    )
    def test_hosts(self, name: str, host: str) -> None:
        settings = dev(**{name: f" {host}\n"})
        assert (settings.of(RabbitSettings).host if name == "RABBITMQ_HOST" else settings.smtp.host) == host

    @pytest.mark.parametrize("name", ["RABBITMQ_HOST", "SMTP_HOST"])
    @pytest.mark.parametrize(
        "host",
        ["localhost:5673", "[::1]", "[::1]:1", "amqp://x", "guest:hunter2@x", "a b", "a/b", "1::g", "a..b", "x" * 64],
    )
    def test_anything_but_a_host_is_refused_and_not_repeated(self, name: str, host: str) -> None:
        words = f"{name} must be only the name or address of a host; the port is a separate setting."
        assert refusal(**{name: host}) == words

    @given(st.text(max_size=80) | st.from_regex(r"[\w.-]{1,80}", fullmatch=True))
    def test_every_accepted_host_forms_an_address(self, host: str) -> None:
        outcome = attempt(RABBITMQ_HOST=host)
        if isinstance(outcome, Settings):
            assert address(RabbitSettings(host=outcome.of(RabbitSettings).host), 10).port == 5672
            outcome.of(RabbitSettings).host.encode("idna")


class TestDatabase:
    @pytest.mark.parametrize("settings", [dev(), serve()])
    def test_an_sqlite_file_by_default(self, settings: Settings) -> None:
        assert settings.database.url == "sqlite+aiosqlite:///var/herald.db"
        assert (settings.came_from["database.url"], settings.database.connections) == ("default", 10)

    @pytest.mark.parametrize(
        ("given", "taken"),
        [
            ("postgresql+asyncpg://me:pw@db:5432/x", "postgresql+asyncpg://me:pw@db:5432/x"),
            ("postgresql://me:pw@db/x", "postgresql+asyncpg://me:pw@db/x"),
            (" postgres://db/x\n", "postgresql+asyncpg://db/x"),
            ("postgres://me:p%40ss%2Fw@[::1]:5/x", "postgresql+asyncpg://me:p%40ss%2Fw@[::1]:5/x"),
            ("postgres://me@db/x?sslmode=verify-full", "postgresql+asyncpg://me@db/x?ssl=verify-full"),
            ("postgres://me@db/x?ssl=require", "postgresql+asyncpg://me@db/x?ssl=require"),
            ("postgres://me@/x?host=/run/postgresql", "postgresql+asyncpg://me@/x?host=%2Frun%2Fpostgresql"),
            ("sqlite:///var/x.db", "sqlite+aiosqlite:///var/x.db"),
            ("sqlite+aiosqlite:////abs/x.db", "sqlite+aiosqlite:////abs/x.db"),
            ("memory:", "memory:"),
        ],
    )
    def test_urls(self, given: str, taken: str) -> None:
        assert dev(DATABASE_URL=given).database.url == taken

    @pytest.mark.parametrize(
        ("given", "reason"),
        [
            ("mysql://me:hunter2@db/x", "must begin with postgresql+asyncpg:// or sqlite+aiosqlite:///"),
            ("hunter2", "must begin with"),
            ("memory:x", "must begin with"),
            ("postgresql:", "must be postgresql+asyncpg://"),
            ("postgres://me:hunter2@db:port/x", "must be postgresql+asyncpg://"),
            ("postgres://me:hunter2@db", "does not name a database"),
            ("postgres://me:hunter2@db/", "does not name a database"),
            ("postgres://me:hun@ter/2@db/x", "write @ as %40"),
            ("postgres://me:hunter2@db/x?sslmode=hunter2", "has an unknown sslmode; known are disable"),
            ("postgres://me:hunter2@db/x?channel_binding=require", "has the option 'channel_binding'"),
            ("sqlite://", "does not name a file"),
            ("sqlite:///", "does not name a file"),
            ("sqlite:///:memory:", "does not name a file"),
            ("sqlite:///x.db?mode=ro", "more than the path of a file"),
        ],
    )
    def test_invalid_urls_are_refused(self, given: str, reason: str) -> None:
        words = refusal(DATABASE_URL=given)
        assert words.startswith("DATABASE_URL ")
        assert reason in words
        assert "hunter2" not in words

    def test_the_password_is_never_shown(self) -> None:
        settings = dev(DATABASE_URL="postgres://me:hunter2@db/x")
        assert settings.shown("database.url") == "postgresql+asyncpg://me:***@db/x"
        assert not any("hunter2" in line for line in [repr(settings), *table(settings)])

    def test_retention_settings(self) -> None:
        settings = dev(HERALD_KEEP_FEED_DAYS="7", HERALD_KEEP_DEAD_LETTERS="5")
        assert (settings.retention.inbox_days, settings.retention.inbox_entries) == (365, 100_000)
        assert (settings.retention.feed_days, settings.retention.feed_entries) == (7, 100_000)
        assert (settings.retention.dead_letter_days, settings.retention.dead_letters) == (90, 5)
        # A date before the first possible date would stop pruning.
        assert "from 1 to 36500" in refusal(HERALD_KEEP_INBOX_DAYS="36501")


class TestTokens:
    def test_serve_without_a_key_names_the_settings_to_set(self) -> None:
        words = refusal("serve")
        for name in ("HERALD_JWT_SECRET", "HERALD_JWT_PUBLIC_KEY", "HERALD_JWT_JWKS_URL", "HERALD_AUTH=open"):
            assert name in words

    def test_dev_with_jwt_requires_a_key(self) -> None:
        assert "no key" in refusal(HERALD_AUTH="jwt")

    @pytest.mark.parametrize("mode", ["dev", "serve"])
    def test_one_key_is_sufficient(self, mode: Mode, tmp_path: Path) -> None:
        (file := tmp_path / "key.pem").write_text(PEM)
        for environ in (
            {"HERALD_JWT_SECRET": SECRET},
            {"HERALD_JWT_PUBLIC_KEY": PEM},
            {"HERALD_JWT_PUBLIC_KEY": str(file)},
            {"HERALD_JWT_JWKS_URL": "https://id.example/jwks.json"},
        ):
            load({"HERALD_AUTH": "jwt", **environ}, mode, {})

    def test_a_key_file_is_read(self, tmp_path: Path) -> None:
        (file := tmp_path / "key.pem").write_text(PEM)
        settings = load({"HERALD_JWT_PUBLIC_KEY": str(file)}, "serve", {})
        assert settings.jwt.public_key == PEM
        assert settings.jwt.public_key == PEM

    def test_a_key_file_must_be_text(self, tmp_path: Path) -> None:
        (file := tmp_path / "key.der").write_bytes(b"\x30\x82\xff")
        assert "UTF-8" in refusal(HERALD_JWT_PUBLIC_KEY=str(file))

    @pytest.mark.parametrize("name", ["HERALD_SMTP_USER", "HERALD_SMTP_PASSWORD"])
    def test_a_login_requires_a_user_and_a_password(self, name: str) -> None:
        with pytest.raises(SettingsInvalid, match="HERALD_SMTP_USER and HERALD_SMTP_PASSWORD go together"):
            dev(**{name: "x"})

    @pytest.mark.parametrize(
        "value",
        [
            *("kim@example.com", "Shop <shop@example.com>", "Bücher <a@bücher.example>"),
            *("Shop, Ltd. <noreply@example.com>", "Shop: A <noreply@example.com>"),
        ],
    )
    def test_valid_senders_of_mails(self, value: str) -> None:
        assert dev(SMTP_FROM=f" {value} ").smtp.sender == value

    @pytest.mark.parametrize("value", ["kim", "Shop", "a@b\nBcc: c@d", "Shop <a b@c.d>", "<>"])
    def test_invalid_senders_are_refused(self, value: str) -> None:
        with pytest.raises(SettingsInvalid, match="SMTP_FROM must be an address"):
            dev(SMTP_FROM=value)

    def test_templates_must_be_in_a_folder(self, tmp_path: Path) -> None:
        assert dev(HERALD_MAIL_TEMPLATES=str(tmp_path)).mail.templates == str(tmp_path)
        with pytest.raises(SettingsInvalid, match="HERALD_MAIL_TEMPLATES does not name a folder"):
            dev(HERALD_MAIL_TEMPLATES=str(tmp_path / "none"))

    def test_two_kinds_of_key_are_refused(self) -> None:
        words = refusal(HERALD_JWT_SECRET=SECRET, HERALD_JWT_PUBLIC_KEY=PEM)
        assert words.startswith("HERALD_JWT_SECRET and HERALD_JWT_PUBLIC_KEY")
        assert SECRET not in words

    def test_unusable_keys_and_algorithms_are_refused(self) -> None:
        assert refusal("serve", HERALD_JWT_SECRET="hunter2").startswith("HERALD_JWT_SECRET has 7 bytes")
        assert "HERALD_JWT_ALGORITHMS" in refusal("serve", HERALD_JWT_SECRET=SECRET, HERALD_JWT_ALGORITHMS="RS256")
        assert "HERALD_JWT_ALGORITHMS" in refusal(
            "serve", HERALD_JWT_JWKS_URL="https://id.example/jwks.json", HERALD_JWT_ALGORITHMS="HS256"
        )

    def test_a_secret_keeps_its_blanks(self) -> None:
        assert dev(HERALD_JWT_SECRET=f" {SECRET} ").jwt.secret == f" {SECRET} "

    def test_serve_may_be_open(self) -> None:
        assert serve().server.auth == "open"


class TestOutput:
    SECRETS = (
        "HERALD_JWT_SECRET",
        "HERALD_KAFKA_SASL_PASSWORD",
        "HERALD_TOKEN",
        "RABBITMQ_PASS",
        "HERALD_SMTP_PASSWORD",
    )

    @pytest.mark.parametrize("name", SECRETS)
    def test_secrets_are_never_shown(self, name: str) -> None:
        # A password without a user is refused.
        settings = dev(**{name: f"{SECRET}!", **({"HERALD_SMTP_USER": "me"} if "SMTP" in name else {})})
        shown: list[Any] = [repr(settings), *table(settings), *settings.__rich_repr__(), repr(settings.jwt)]
        assert not any(SECRET in str(line) for line in shown)
        assert any(line.split()[:2] == [name, "***"] for line in table(settings))

    def test_the_list_of_secrets_is_complete(self) -> None:
        assert {setting.names for setting in SETTINGS.values() if setting.secret} == set(self.SECRETS)

    @pytest.mark.parametrize(
        ("url", "shown"),
        [
            ("postgresql+asyncpg://me:pw@db:5432/x", "postgresql+asyncpg://me:***@db:5432/x"),
            ("postgres://me:p@ss/w:rd@db/x", "postgres://me:***@db/x"),
            ("redis://:pw@cache:6379/0", "redis://:***@cache:6379/0"),
            (
                "postgres://db/x?user=me&password=pw&sslmode=require",
                "postgres://db/x?user=me&password=***&sslmode=require",
            ),
            ("redis://cache:6379/0", "redis://cache:6379/0"),
        ],
    )
    def test_passwords_in_urls_are_masked(self, url: str, shown: str) -> None:
        assert masked(url) == shown

    def test_the_password_of_redis_is_masked(self) -> None:
        settings = dev(REDIS_URL="rediss://me:pw@cache:6379/0")
        assert settings.shown("redis.url") == "rediss://me:***@cache:6379/0"
        assert "pw" not in repr(settings)

    @given(st.text(st.characters(exclude_categories=["C", "Z"], exclude_characters="*"), min_size=1))
    def test_masking_removes_the_whole_password(self, password: str) -> None:
        assert masked(f"redis://user:{password}@cache/0") == "redis://user:***@cache/0"

    def test_the_origin_of_each_value_is_shown(self) -> None:
        lines = {
            line.split()[0]: line.split()[1:] for line in table(load({"PORT": "9000"}, "dev", {"server.host": "::1"}))
        }
        assert lines["HERALD_PORT"] == ["9000", "PORT"]
        assert lines["HERALD_HOST"] == ["::1", "--host"]
        assert lines["HERALD_AUTH"] == ["open", "default"]

    def test_each_setting_is_one_line(self) -> None:
        assert not any("\n" in line for line in table(dev(HERALD_JWT_PUBLIC_KEY=PEM)))


class TestNodes:
    def test_a_single_node_needs_no_redis(self) -> None:
        settings = serve(HERALD_PORT="8123")
        assert settings.node.name == f"{gethostname()}:8123"
        assert settings.redis.url is None

    @pytest.mark.parametrize(
        "url",
        [
            "redis://cache",
            "redis://cache:6379/2",
            "redis://me:p%2Fw@cache:6379/0",
            "redis://[::1]:6379",
            "rediss://me:pw@cache",
            "unix:///run/redis.sock",
        ],
    )
    def test_valid_redis_urls(self, url: str) -> None:
        assert serve(REDIS_URL=f" {url} ").redis.url == url

    @pytest.mark.parametrize(
        ("url", "reason"),
        [
            ("cache:6379", "must begin with redis://, rediss:// or unix://"),
            ("http://cache", "must begin with redis://, rediss:// or unix://"),
            ("redis://", "does not name a host"),
            ("unix://", "does not name a host"),
            ("redis://cache:many", "must be redis://user:password@host:port/database"),
            ("redis://cache?decode_responses=yes", "has options behind a question mark"),
        ],
    )
    def test_invalid_redis_urls_are_refused(self, url: str, reason: str) -> None:
        assert reason in refusal(REDIS_URL=url)

    def test_a_refused_url_is_not_repeated(self) -> None:
        assert "secret" not in refusal(REDIS_URL="redis://me:secret@cache:many")

    @pytest.mark.parametrize("prefix", ["herald", "shop:herald", "a-b_c.d/e", "x" * 64])
    def test_valid_prefixes(self, prefix: str) -> None:
        assert serve(HERALD_REDIS_PREFIX=prefix).redis.prefix == prefix

    @pytest.mark.parametrize("prefix", ["a b", "a*", "[a]", "{a}", "a\nb", "ü", "x" * 65, "a?"])
    def test_invalid_prefixes_are_refused(self, prefix: str) -> None:
        assert "HERALD_REDIS_PREFIX must be letters, digits" in refusal(HERALD_REDIS_PREFIX=prefix)

    def test_certificates_without_tls_are_an_error(self) -> None:
        file = str(Path(__file__))
        assert serve(REDIS_URL="rediss://cache", HERALD_REDIS_CAFILE=file).redis.cafile == file
        for environ in ({"REDIS_URL": "redis://cache"}, {}):
            assert "REDIS_URL does not begin with rediss://" in refusal(HERALD_REDIS_CAFILE=file, **environ)


def test_every_setting_has_help_and_a_unique_name() -> None:
    names = [name for setting in SETTINGS.values() for name in setting.names.split()]
    assert len(names) == len(set(names))
    assert all(setting.help.endswith(".") for setting in SETTINGS.values())
