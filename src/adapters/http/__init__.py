"""HTTP, by Litestar: what programs ask of Herald, and the one page for people."""
