"""A small seeded music generator: audio with labels for the quick start and the tests, without any recordings."""
