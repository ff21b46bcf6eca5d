"""Fault injection: two nodes and the services they depend on, under a steady load, with one fault at a time."""
