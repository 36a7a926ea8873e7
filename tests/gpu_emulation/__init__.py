"""A GPU that is not there: a strict fake CuPy and an emulator of CUDA kernels, both on the CPU."""
