"""Declares the triggers that protect `waiting` deliveries from nodes of the previous version of Herald (see
DeliveryRow). Migration 0007 creates them.

If an administrator retries such a delivery on a node of the previous version, this node sets the status to `pending`: a
trigger sets `waiting` instead. Such a node would also delete old `waiting` deliveries as if they were sent or failed: a
trigger prevents this.
"""

from typing import Final

from sqlalchemy import DDL, event

from adapters.sql.tables import DeliveryRow

_UNKNOWN_BEFORE: Final = "(NEW.channel <> 'email' OR NEW.format <> 1)"

_POSTGRESQL: Final = (
    """
    CREATE FUNCTION guard_waiting_deliveries() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF TG_OP = 'DELETE' THEN
            RETURN NULL;
        END IF;
        NEW.status := 'waiting';
        RETURN NEW;
    END $$
    """,
    f"""
    CREATE TRIGGER deliveries_retried BEFORE UPDATE OF status ON deliveries FOR EACH ROW
    WHEN (NEW.status = 'pending' AND {_UNKNOWN_BEFORE}) EXECUTE FUNCTION guard_waiting_deliveries()
    """,
    """
    CREATE TRIGGER deliveries_pruned BEFORE DELETE ON deliveries FOR EACH ROW
    WHEN (OLD.status = 'waiting') EXECUTE FUNCTION guard_waiting_deliveries()
    """,
)
_SQLITE: Final = (
    f"""
    CREATE TRIGGER deliveries_retried AFTER UPDATE OF status ON deliveries
    WHEN NEW.status = 'pending' AND {_UNKNOWN_BEFORE}
    BEGIN UPDATE deliveries SET status = 'waiting' WHERE id = NEW.id; END
    """,  # noqa: S608 - our own names
    """
    CREATE TRIGGER deliveries_pruned BEFORE DELETE ON deliveries WHEN OLD.status = 'waiting'
    BEGIN SELECT RAISE(IGNORE); END
    """,
    # For connections without `PRAGMA foreign_keys`, on which the foreign key does not delete the items.
    """
    CREATE TRIGGER deliveries_deleted AFTER DELETE ON deliveries
    BEGIN DELETE FROM delivery_items WHERE delivery_id = OLD.id; END
    """,
)

for _dialect, _statements in (("postgresql", _POSTGRESQL), ("sqlite", _SQLITE)):
    for _statement in _statements:
        _ddl = DDL(_statement).execute_if(dialect=_dialect)  # type: ignore[no-untyped-call]  # SQLAlchemy's
        event.listen(DeliveryRow.__table__, "after_create", _ddl)
