"""Who is calling, and how often they may."""
