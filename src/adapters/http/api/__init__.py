"""The REST API: one module for each resource, such as `notifications.py`. The request and response bodies of larger
resources are in a module of their own, such as `notification_schemas.py`."""
