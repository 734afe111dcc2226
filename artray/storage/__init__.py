"""Storage: a location (a folder or S3 prefix) comes in; bytes, tables, listings and the resumable pass go out."""
