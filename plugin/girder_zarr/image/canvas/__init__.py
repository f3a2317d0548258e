"""The pixels of a new image, buffered chunk by chunk."""
