"""Pages for people: labels, evaluations and generators come in, HTML that needs nothing goes out."""
