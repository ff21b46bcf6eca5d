"""Two nodes and all they depend on, under a steady load, while one thing after another is done to them."""
