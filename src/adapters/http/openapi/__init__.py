"""The OpenAPI document of the REST API, and the AsyncAPI document of WebSockets and event streams, with the Swagger UI
page."""
