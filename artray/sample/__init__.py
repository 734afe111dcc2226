"""The sample collection: 22 works made by hand and as many drawn by code (see `artray.sample.collection`)."""
