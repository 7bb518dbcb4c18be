"""Version of the package, readable without importing anything heavy."""

__version__ = "0.5.1"
