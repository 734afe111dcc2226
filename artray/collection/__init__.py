"""Where pictures and records come from: storage, safe decoding, catalogues and the manifest."""
