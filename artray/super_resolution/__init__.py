"""Super-resolution (D10): upscalers trained on a collection, and its pictures enlarged by one."""
