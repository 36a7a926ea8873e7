"""The course: read a lesson, predict, run it, then write the gradient yourself and have it checked."""
