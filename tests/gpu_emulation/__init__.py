"""An emulated GPU: a strict fake of CuPy and an emulator of CUDA kernels, both on the CPU."""
