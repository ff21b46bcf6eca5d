"""What the web adapters share: tokens of a request, origins and hosts. Knows no web framework."""
