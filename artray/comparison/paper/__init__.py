"""The paper folder: figures, tables and text that can leave the page."""
