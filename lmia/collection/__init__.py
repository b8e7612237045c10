"""A collection against a held-out one: read, told apart, scored by what learns nothing, and judged as a whole."""
