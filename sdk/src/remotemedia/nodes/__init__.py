"""The node types of this package, by what they work on."""
