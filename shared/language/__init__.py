"""The published language: what may be asked, what is told, what is refused, and where it is said."""
