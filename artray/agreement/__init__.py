"""Agreement: labels of several people for the same works come in; how far they agree, and what they say, go out."""
