"""From a broker's batch, or an HTTP request, to stored, published and acknowledged events."""
