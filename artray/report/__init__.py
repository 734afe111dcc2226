"""Pages for people: what the models said, for the curator who judges it."""
