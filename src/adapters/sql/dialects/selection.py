"""Selects the implementation of Writing and DeliveryWriting for a database."""

from adapters.sql.database import Database
from adapters.sql.dialects.dialect import DeliveryWriting, Writing
from adapters.sql.dialects.postgresql import PostgresqlWriting
from adapters.sql.dialects.postgresql_delivery_writing import PostgresqlDeliveryWriting
from adapters.sql.dialects.sqlite import SqliteWriting
from adapters.sql.dialects.sqlite_delivery_writing import SqliteDeliveryWriting


def writing_for(database: Database) -> Writing:
    return PostgresqlWriting() if database.is_postgresql else SqliteWriting()


def delivery_writing_for(database: Database) -> DeliveryWriting:
    return PostgresqlDeliveryWriting() if database.is_postgresql else SqliteDeliveryWriting()
