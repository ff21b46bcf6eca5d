"""How the tables came to be, revision by revision.

`adapters.sql.schema` runs them; versions/README.md says how to write the next.
"""
