"""What browsers load: the front page, the problem pages, and the JavaScript client."""
