"""Where images and masks come from, how they lie on disk, and how they reach a network."""
