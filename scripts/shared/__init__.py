"""What suites in Python have in common: how they are called, what they say, and what they leave on the disk."""
