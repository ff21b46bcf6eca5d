"""Which implementation stands behind which port."""
