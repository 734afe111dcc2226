"""Numbers from pictures, one module a feature, and the Ray stage that computes them in one pass."""
