"""Station 5: a manifest and bundles come in, labels as Parquet go out, and exports of them."""
