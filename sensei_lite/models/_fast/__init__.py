"""What CPUs like: the same functions as the layers, written so that a CPU computes them faster."""
