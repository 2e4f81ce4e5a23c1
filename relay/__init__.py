"""The missing half of CAMB.AI's media API: a webhook for every task."""

__version__ = "0.1.0"
