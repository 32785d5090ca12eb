"""A small seeded music generator: audio and labels for the quick start and the tests, without foreign music."""
