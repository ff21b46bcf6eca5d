"""The HTTP interface, built on Litestar: the REST API and its OpenAPI document, health and metrics, and HTML pages."""
