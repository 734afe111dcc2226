"""Pages about generators, and the stations that end with one."""
