"""Console programs over the library: train, evaluate, export, benchmark."""
