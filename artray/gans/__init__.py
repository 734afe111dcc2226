"""GANs: generators of pictures, trained on the same cluster and from the same data as the classifiers."""
