"""The REST API: one module for each resource, with its schemas beside it."""
