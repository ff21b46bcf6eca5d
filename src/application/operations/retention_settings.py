"""The settings of retention."""

from datetime import timedelta
from typing import Annotated

from application.ports.retention import Keep, Keeping
from domain.setting_declarations import Section, Setting
from domain.setting_parsers import days, whole


class RetentionSettings(Section, frozen=True):
    """Retention: how long notifications, broadcasts, dead letters and deliveries are stored, and how many of them."""

    inbox_days: Annotated[
        int, Setting("HERALD_KEEP_INBOX_DAYS", days, "The time for which notifications are stored.", unit="days")
    ] = 365
    inbox_entries: Annotated[
        int,
        Setting(
            "HERALD_KEEP_INBOX_ENTRIES",
            whole(),
            "The maximum number of notifications in each inbox; older ones are deleted.",
        ),
    ] = 100_000
    feed_days: Annotated[
        int, Setting("HERALD_KEEP_FEED_DAYS", days, "The time for which broadcasts are stored.", unit="days")
    ] = 30
    feed_entries: Annotated[
        int,
        Setting(
            "HERALD_KEEP_FEED_ENTRIES",
            whole(),
            "The maximum number of broadcasts in each feed; older ones are deleted.",
        ),
    ] = 100_000
    dead_letter_days: Annotated[
        int, Setting("HERALD_KEEP_DEAD_LETTER_DAYS", days, "The time for which dead letters are stored.", unit="days")
    ] = 90
    dead_letters: Annotated[
        int, Setting("HERALD_KEEP_DEAD_LETTERS", whole(), "The maximum number of dead letters; older ones are deleted.")
    ] = 100_000
    delivery_days: Annotated[
        int,
        Setting(
            "HERALD_KEEP_DELIVERY_DAYS",
            days,
            "The time for which deliveries are stored. Pending deliveries are never deleted.",
            unit="days",
        ),
    ] = 90
    deliveries: Annotated[
        int,
        Setting(
            "HERALD_KEEP_DELIVERIES",
            whole(),
            "The maximum number of deliveries, not counting pending ones; older ones are deleted.",
        ),
    ] = 1_000_000

    @property
    def keeping(self) -> Keeping:
        return Keeping(
            inbox=Keep(timedelta(days=self.inbox_days), self.inbox_entries),
            feed=Keep(timedelta(days=self.feed_days), self.feed_entries),
            dead_letters=Keep(timedelta(days=self.dead_letter_days), self.dead_letters),
            deliveries=Keep(timedelta(days=self.delivery_days), self.deliveries),
        )
