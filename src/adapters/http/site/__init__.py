"""HTML pages: the front page and the problem pages."""
