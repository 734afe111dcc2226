"""Ray Train: data, the distributed step, evaluation and model bundles."""
