"""The extensions of the book's build, and what they share with the tools."""
