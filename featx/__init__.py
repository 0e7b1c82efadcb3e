"""featx: run a frozen convolutional base over images once, keep its features, train classifiers on them in seconds."""

__version__ = "0.1.0"
