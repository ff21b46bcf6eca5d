"""Operating a node: its start, drain and stop, its health, and the deletion of old rows."""
