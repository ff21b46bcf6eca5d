"""The history of the tables, as revisions.

`adapters.sql.schema` runs them; versions/README.md says how to write the next.
"""
