"""The shipped routes files, and the operator's own that replace them."""
