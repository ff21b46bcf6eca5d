"""The second WebSocket listener: serves WebSockets with picows, on a port of its own, in the event loop of Herald."""
