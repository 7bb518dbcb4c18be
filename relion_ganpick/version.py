"""Version of the package, readable without importing anything heavy."""

__version__ = "0.7.1"
