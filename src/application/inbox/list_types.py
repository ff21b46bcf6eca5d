"""Lists the notification types that users can be notified of."""

from application.routes_in_force import RoutesInForce
from domain.notification_types import NotificationType, notification_types


class ListTypes:
    """Lists the types of notifications and deliveries that are known from the loaded profiles, with their titles. A
    type that only events contain is not in the list.
    """

    def __init__(self, routes: RoutesInForce) -> None:
        self._routes = routes

    def __call__(self) -> tuple[NotificationType, ...]:
        return notification_types(self._routes.table)
