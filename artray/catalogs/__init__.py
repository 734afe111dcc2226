"""Catalogues: a museum's export comes in, rows with understood columns, matched to pictures, go out."""
