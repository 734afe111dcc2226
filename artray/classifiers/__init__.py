"""Station 4: labelled examples come in, a classifier's bundle with its evaluation goes out."""
