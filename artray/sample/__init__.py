"""The sample collection: 22 works made by hand and 24 drawn by code (see `artray.sample.collection`)."""
