"""The HTTP interface, built on Litestar: the REST API, its documents, health and metrics, and pages for people."""
