"""What the Makefile calls: run the chapters, make the notebooks, check the built book."""
