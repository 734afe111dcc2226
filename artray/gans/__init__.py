"""Station 4, for generators: pictures come in, a generator's bundle, samples and scores go out."""
