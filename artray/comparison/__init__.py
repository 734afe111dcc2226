"""Several classifiers compared on the same works, and what a paper needs of them."""
