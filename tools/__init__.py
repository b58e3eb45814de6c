"""Commands that make, check and replicate the book."""
