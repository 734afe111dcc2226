"""Station 2: a manifest comes in, a table of numbers from pictures goes out; one module a feature."""
