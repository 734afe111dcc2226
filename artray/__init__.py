"""artray labels a museum's image collection, as batch jobs on Ray.

The walk of the data is a package a station: `artray.ingest` (pictures and records), `artray.features` and
`artray.patches` (numbers and squares cut from pictures), `artray.classifiers` and `artray.gans` (Keras models on Ray
Train), `artray.labeling` (labels as Parquet) and `artray.report` (pages for people). Below them lie the trades that
they share: `artray.storage`, `images`, `catalogs`, `models`, `bundles` and `engine`.
"""

__version__ = "0.1.0"
