"""Trained classifiers in forms that run without artray: written, and judged beside the model that they come from."""
