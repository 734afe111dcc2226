"""Batch inference over a collection, and the labels as Parquet."""
