"""The lessons: read, predict, run, write a gradient of your own, and be told what it is."""
