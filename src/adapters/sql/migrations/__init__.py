"""The history of the tables, as revisions.

`adapters.sql.schema` runs them. versions/README.md explains how to write the next one.
"""
