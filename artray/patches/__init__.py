"""Patches: random squares of pictures, for models that look closely."""
