"""Several routes files in one process: which files are read, and what is refused if they contradict each other."""

import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from domain.route_table import RouteTable
from domain.routes import RoutesInvalid
from entrypoints.profiles.loader import SHIPPED, load_table, read_file
from entrypoints.profiles.routes_files import find_ignored_files, find_routes_files
from entrypoints.settings.loader import SettingsInvalid, load

Write = Callable[..., str]

ROUTES = """
profile = "{name}"
broker = "{broker}"
[feeds.news]
access = "public"
[[routes]]
source = "{name}.a"
users = ["user"]
{more}
"""

ENDPOINT = '[[endpoints]]\nname = "{name}"\npath = "{path}"\ntransport = "ws"\ninbox = "profile"\n'

COMPLETE = ROUTES.format(name="shop", broker="memory", more=ENDPOINT.format(name="x", path="/x") + "# café").encode()


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes a routes file and returns its path: `write("shop", more="…", to="routes/shop.toml")`."""

    def write_file(name: str, more: str = "", to: str = "", broker: str = "memory") -> str:
        path = tmp_path / (to or f"{name}.toml")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(ROUTES.format(name=name, broker=broker, more=more))
        return str(path)

    return write_file


def loaded(routes: str, **environ: str) -> RouteTable:
    return load_table(load({"HERALD_AUTH": "open", "HERALD_ROUTES": routes, **environ}, "serve", {}))


def names(table: RouteTable) -> list[str]:
    return [profile.profile for profile in table.profiles]


def refusal(routes: str, **environ: str) -> str:
    with pytest.raises((RoutesInvalid, SettingsInvalid)) as caught:
        loaded(routes, **environ)
    return str(caught.value)


@contextmanager
def suppress_refusal(file: str) -> Iterator[None]:
    """Suppress RoutesInvalid if it names the file."""
    try:
        yield
    except RoutesInvalid as error:
        if not str(error).startswith(f"{file}: "):
            raise


class TestWhatIsRead:
    def test_several_files_replace_the_shipped_profiles(self, write: Write) -> None:
        table = loaded(f"{write('shop')}, {write('desk')}", HERALD_PROFILE="orders")
        assert names(table) == ["shop", "desk"]

    def test_a_folder_is_read_in_the_order_of_names(self, write: Write, tmp_path: Path) -> None:
        for name in ("b", "c", "a"):
            write(name, to=f"routes/{name}.toml")
        assert names(loaded(f"{tmp_path / 'routes'},{write('first')}")) == ["a", "b", "c", "first"]

    def test_shipped_profiles_beside_own_ones(self, write: Write) -> None:
        table = loaded(f"{write('shop')},shipped:groups,shipped:orders")
        assert names(table) == ["shop", "groups", "orders"]
        assert table.files[1:] == ("shipped:groups", "shipped:orders")
        assert names(loaded(f"shipped:trading,shipped:all,{write('shop')}")) == [
            *("trading", "groups", "orders", "products", "signals"),
            "shop",
        ]

    def test_an_unknown_shipped_profile_is_refused_with_the_nearest(self) -> None:
        assert re.match(
            r"shipped:group: .* did you mean groups\? There are groups, .*, and all", refusal("shipped:group")
        )
        assert "did you mean" in refusal("shipped:")

    def test_each_profile_has_its_own_broker(self, write: Write) -> None:
        table = loaded(f"{write('shop', broker='kafka')},{write('desk', broker='rabbitmq')}")
        assert (table.sources("kafka"), table.sources("rabbitmq")) == (("shop.a",), ("desk.a",))

    def test_a_file_named_twice_is_read_once(self, write: Write, tmp_path: Path) -> None:
        file = write("shop", to="routes/shop.toml")
        (link := tmp_path / "link.toml").symlink_to(file)
        assert names(loaded(f"{file},{file},{tmp_path}/./routes/shop.toml,{tmp_path / 'routes'},{link}")) == ["shop"]

    def test_a_comma_in_the_name_of_a_file(self, write: Write, tmp_path: Path) -> None:
        file = write("shop", to="routes/a,b.toml")
        assert loaded(file).files == loaded(str(tmp_path / "routes")).files == (file,)
        # Beside another file the name is divided, and the parts do not exist.
        assert re.match(r".*/a: this can't be read: No such file", refusal(f"{file},{write('desk')}"))

    def test_nothing_but_commas_counts_as_not_set(self) -> None:
        assert names(loaded(" , ", HERALD_PROFILE="groups")) == ["groups"]

    def test_every_call_reads_the_files_anew(self, write: Write) -> None:
        settings = load({"HERALD_AUTH": "open", "HERALD_ROUTES": write("shop")}, "serve", {})
        assert load_table(settings).for_source("shop.a")
        write("desk", to="shop.toml")
        assert load_table(settings).for_source("desk.a")


class TestFolders:
    def test_a_mounted_config_map(self, write: Write, tmp_path: Path) -> None:
        # Kubernetes links the visible files to those of a hidden folder, which it replaces by moving the link ..data.
        mount = tmp_path / "mount"
        for version in ("1", "2"):
            write(f"shop{version}", to=f"mount/..{version}/shop.toml")
        (mount / "shop.toml").symlink_to("..data/shop.toml")
        for version in ("1", "2"):
            (mount / "..new").symlink_to(f"..{version}")
            (mount / "..new").rename(mount / "..data")
            assert names(loaded(str(mount))) == [f"shop{version}"]
            assert find_ignored_files([str(mount)]) == ()

    def test_other_entries_are_not_read_but_reported_unless_hidden(self, write: Write, tmp_path: Path) -> None:
        read = write("shop", to="routes/shop.toml")
        for stray in ("shop.TOML", "shop.toml~", "shop.yaml", "README.md", "deeper/x.toml", "folder.toml/x", ".x.toml"):
            write("stray", to=f"routes/{stray}")
        os.mkfifo(tmp_path / "routes" / "pipe.toml")
        folder = str(tmp_path / "routes")
        assert find_routes_files([folder]) == (read,)
        ignored = [os.path.basename(file) for file in find_ignored_files([folder, read, "shipped:groups"])]
        assert ignored == ["README.md", "deeper", "folder.toml", "pipe.toml", "shop.TOML", "shop.toml~", "shop.yaml"]

    def test_a_folder_without_routes_files_is_refused(self, write: Write, tmp_path: Path) -> None:
        (empty := tmp_path / "empty").mkdir()
        assert refusal(str(empty)) == f"{empty}: this folder has no file whose name ends with '.toml'"
        write("shop", to="empty/shop.TOML")
        assert refusal(str(empty)).endswith(", only shop.TOML")

    def test_a_folder_that_cannot_be_read_is_refused(self, write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
        # Tests may run as root, who may read everything.
        def denied(folder: str) -> list[str]:
            raise PermissionError(13, "Permission denied", folder)

        folder = os.path.dirname(write("shop", to="routes/shop.toml"))
        monkeypatch.setattr(os, "listdir", denied)
        assert refusal(folder) == f"{folder}: this folder can't be read: Permission denied"

    def test_a_link_to_nothing_is_refused(self, write: Write, tmp_path: Path) -> None:
        write("shop", to="routes/shop.toml")
        (tmp_path / "routes" / "gone.toml").symlink_to("nowhere")
        assert re.match(r".*/routes/gone\.toml: this can't be read: No such file", refusal(str(tmp_path / "routes")))


class TestBadFiles:
    def test_the_error_names_the_file_among_several(self, write: Write) -> None:
        wrong = write("desk", more='inbox = { titel = "x" }')
        assert refusal(f"{write('shop')},{wrong},shipped:groups").startswith(f"{wrong}: route 1")

    def test_a_half_written_file_is_valid_or_refused_with_its_name(self, tmp_path: Path) -> None:
        file = tmp_path / "half.toml"
        for length in range(len(COMPLETE)):
            file.write_bytes(COMPLETE[:length])
            with suppress_refusal(str(file)):
                read_file(str(file))

    @pytest.mark.parametrize("value", ["[" * 5000, "9" * 5000, "{a=" * 5000], ids=["lists", "digits", "tables"])
    def test_a_value_that_cannot_be_parsed_is_refused_with_the_file(self, value: str, write: Write) -> None:
        file = write("shop", more=f"x = {value}")
        assert refusal(file).startswith(f"{file}: not valid TOML: ")

    def test_a_megabyte_of_routes(self, write: Write) -> None:
        routes = "".join(
            f'[[routes]]\nsource = "shop.{number}"\nusers = ["user"]\nidentity = "cloudevents"\n'
            for number in range(14_000)
        )
        assert len(routes) > 1_000_000
        table = loaded(f"{write('shop', more=routes)},shipped:all")
        assert [route.source for route in table.for_source("shop.13999")] == ["shop.13999"]


class TestContradictions:
    def test_two_profiles_of_one_name(self, write: Write) -> None:
        one, other = write("shop", to="a.toml"), write("shop", to="b.toml")
        assert refusal(f"{one},{other}").startswith(f"{other}: profile: {one} has the name 'shop', too")
        own = write("groups")
        assert refusal(f"shipped:groups,{own}").startswith(f"{own}: profile: shipped:groups has the name 'groups', too")
        assert names(loaded(own)) == ["groups"]

    def test_feeds_with_different_access(self, write: Write, tmp_path: Path) -> None:
        one, other = write("shop"), write("desk")
        assert names(loaded(f"{one},{other}")) == ["shop", "desk"]
        Path(other).write_text(Path(other).read_text().replace('"public"', '"signed-in"'))
        assert refusal(f"{one},{other}").startswith(
            f"{other}: feeds.news: access: is 'signed-in', but 'public' in {one}: "
        )

    @pytest.mark.parametrize(
        ("name", "path", "key"), [("x", "/other", "name"), ("y", "/x", "path")], ids=["name", "path"]
    )
    def test_endpoints_with_one_name_or_path(self, name: str, path: str, key: str, write: Write) -> None:
        one = write("shop", more=ENDPOINT.format(name="x", path="/x"))
        other = write("desk", more=ENDPOINT.format(name=name, path=path))
        text = refusal(f"{one},{other}")
        assert text.startswith(f"{other}: endpoint {name!r}: {key}: ")
        assert text.endswith(f"(that endpoint is in {one})")

    def test_endpoints_with_different_transports_at_one_path(self, write: Write) -> None:
        one = write("shop", more=ENDPOINT.format(name="x", path="/x"))
        other = write("desk", more=ENDPOINT.format(name="y", path="/x").replace('"ws"', '"sse"'))
        assert refusal(f"{one},{other}").startswith(f"{other}: endpoint 'y': transport: endpoint 'x' at the same path")

    def test_an_endpoint_with_the_name_of_a_shipped_one(self, write: Write) -> None:
        own = write("shop", more=ENDPOINT.format(name="groups", path="/x"))
        text = refusal(f"{own},shipped:groups")
        assert text.startswith(f"{own}: endpoint 'groups': name: ")
        assert text.endswith("(Herald ships that endpoint)")

    def test_two_names_that_differ_in_dashes_only(self, write: Write) -> None:
        one, other = write("my-shop"), write("my_shop")
        text = refusal(f"{one},{other}")
        assert text.startswith(f"{other}: profile: ")
        assert one in text
        assert "HERALD_SOURCES_MY_SHOP" in text


class TestRenamedSources:
    def test_sources_and_samples_of_a_shipped_profile(self) -> None:
        renames = "order.created = shop.new, order.status.updated=shop.status"
        table = loaded("shipped:orders", HERALD_SOURCES_ORDERS=renames)
        assert table.sources("rabbitmq") == ("shop.new", "shop.status")
        assert {sample.source for sample in table.profiles[0].samples} == {"shop.new", "shop.status"}
        assert not table.for_source("order.created")

    def test_only_the_new_name_for_a_single_source(self) -> None:
        for value in ("my.signals", "trading_signals=my.signals"):
            table = loaded("", HERALD_PROFILE="signals,groups", HERALD_SOURCES_SIGNALS=value)
            assert table.for_source("my.signals")
            assert not table.for_source("trading_signals")
            assert {sample.source for sample in table.profiles[0].samples} == {"my.signals"}

    def test_sources_can_be_exchanged(self) -> None:
        renames = "regime-events=alert-events,alert-events=regime-events"
        table = loaded("shipped:trading", HERALD_SOURCES_TRADING=renames)
        assert [route.as_type for route in table.for_source("alert-events")] == ["regime_change"]

    def test_own_profiles_have_such_a_variable_too(self, write: Write) -> None:
        table = loaded(write("my-shop"), HERALD_SOURCES_MY_SHOP="staging.a")
        assert table.sources("memory") == ("staging.a",)

    def test_routes_of_one_source_are_renamed_together(self, write: Write) -> None:
        more = '[[routes]]\nsource = "shop.a"\nfeed = "news"\n[[routes]]\nsource = "shop.*.x"\nfeed = "news"\n'
        table = loaded(write("shop", more=more), HERALD_SOURCES_SHOP="shop.a=a")
        assert [route.source for route in table.routes] == ["a", "a", "shop.*.x"]

    @pytest.mark.parametrize(
        ("value", "reason"),
        [
            ("regime-event=x", "has no source 'regime-event': did you mean 'regime-events'? Its sources are "),
            ("x", "has no single source without wildcards: write old=x. Its sources are regime-events, "),
            ("regime-events=x,alert-events=x", "would have two sources with the name 'x'"),
            ("regime-events=risk-events", "would have two sources with the name 'risk-events'"),
            ("regime-events=x,regime-events=y", "HERALD_SOURCES_TRADING renames 'regime-events' twice."),
            ("regime-events=a b", "HERALD_SOURCES_TRADING has the source 'a b', which has the word 'a b'"),
            ("regime-events=", "HERALD_SOURCES_TRADING has the source '', which is empty."),
            ("=x", "HERALD_SOURCES_TRADING has the source '', which is empty."),
            ("a=b=c", "HERALD_SOURCES_TRADING has the source 'a=b', which has the word 'a=b'"),
            ("regime-events=x.*", "HERALD_SOURCES_TRADING has the source 'x.*', which has a wildcard."),
            ("regime-events=x,y", "HERALD_SOURCES_TRADING has 'y' beside other names: write old=new."),
        ],
    )
    def test_a_wrong_value_is_refused_with_the_variable(self, value: str, reason: str) -> None:
        text = refusal("shipped:trading", HERALD_SOURCES_TRADING=value)
        assert reason in text
        assert text.startswith("HERALD_SOURCES_TRADING")

    def test_a_pattern_cannot_be_renamed(self, write: Write) -> None:
        file = write("shop")
        Path(file).write_text(Path(file).read_text().replace("shop.a", "shop.*"))
        assert refusal(file, HERALD_SOURCES_SHOP="a=x").endswith(f"{file} has no source 'a'. Its sources are shop.*.")
        assert refusal(file, HERALD_SOURCES_SHOP="x").endswith(
            f"{file} has no single source without wildcards: write old=x. Its sources are shop.*."
        )

    def test_a_variable_without_profile_is_refused_with_the_nearest(self, write: Write) -> None:
        text = refusal(f"{write('shop')},shipped:groups", HERALD_SOURCES_GROUP="x")
        assert text.startswith(
            "HERALD_SOURCES_GROUP: no profile of this name is loaded: did you mean HERALD_SOURCES_GROUPS?"
        )
        assert "HERALD_SOURCES_SHOP" in text
        assert "did you mean" in refusal("shipped:groups", HERALD_SOURCES_="x")

    def test_a_misspelt_variable_is_answered_with_the_setting(self) -> None:
        text = refusal("shipped:groups", HERALD_SOURCE_GROUPS="x")
        assert text == "HERALD_SOURCE_GROUPS is not a setting of Herald: did you mean HERALD_SOURCES_<PROFILE>?"

    def test_shipped_profiles_need_not_be_loaded(self) -> None:
        assert names(loaded("shipped:groups", HERALD_SOURCES_ORDERS="order.created=x")) == ["groups"]

    @pytest.mark.parametrize("profile", SHIPPED)
    def test_every_source_of_every_shipped_profile_can_be_renamed(self, profile: str) -> None:
        sources = {route.source for route in loaded(f"shipped:{profile}").routes}
        variable = {f"HERALD_SOURCES_{profile.upper()}": ",".join(f"{source}=new.{source}" for source in sources)}
        table = loaded(f"shipped:{profile}", **variable)
        assert {route.source for route in table.routes} == {f"new.{source}" for source in sources}
        assert all(table.for_source(sample.source) for sample in table.profiles[0].samples)

    def test_the_setting_for_topics_of_products_remains(self) -> None:
        topics = {"HERALD_PRODUCTS_TOPICS": "shop.new,shop.sold"}
        assert loaded("shipped:products", **topics).sources("kafka") == ("shop.new", "shop.sold")
        both = refusal("shipped:products", HERALD_SOURCES_PRODUCTS="x", **topics)
        assert both == "HERALD_PRODUCTS_TOPICS and HERALD_SOURCES_PRODUCTS are both set: set one of them."
