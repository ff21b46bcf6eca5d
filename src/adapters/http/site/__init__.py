"""Pages for people: the front page and the problem pages."""
