"""Warnings about keys of routes that have no effect."""

from collections.abc import Iterator

from domain.profiles import Profile


def warnings_of_no_effect(profile: Profile) -> Iterator[str]:
    """Yields a warning for each route with `users` whose `feed` is never used."""
    for number, route in enumerate(profile.routes, 1):
        if route.users and route.feed and route.otherwise != "broadcast":
            yield (
                f"route {number} ({route.source!r}): feed: it has no effect beside users: add otherwise ="
                f' "broadcast", and events without a recipient go to the feed; or write a second route with the feed,'
                " and all events go there, too"
            )
