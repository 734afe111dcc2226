"""Station 1: pictures and records come in, the manifest with its groups and split goes out."""
