"""Pictures: the bytes of files come in, RGB pixels and what is wrong with a file go out."""
