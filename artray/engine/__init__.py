"""How anything is trained, knowing neither labels nor generators: examples and a step come in, weights go out."""
