"""artray labels a museum's image collection, as batch jobs on Ray.

The walk of the data is one package a station: `artray.collection` (pictures and records), `artray.features`
and `artray.patches` (numbers and squares cut from pictures), `artray.training` (Keras models on Ray Train),
`artray.labeling` (labels as Parquet) and `artray.report` (pages for people).
"""

__version__ = "0.1.0"
