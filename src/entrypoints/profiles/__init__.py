"""The routes files that come with Herald, and the operator's own in their place."""
