"""Films: files in, frames sampled by time with their labels out, as curves over each film's seconds."""
