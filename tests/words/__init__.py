"""The check of words: plain names and plain sentences, held in `make check`."""
