"""Redis, or Valkey: what joins the nodes, and counts for all of them. Nothing is kept there that matters."""
