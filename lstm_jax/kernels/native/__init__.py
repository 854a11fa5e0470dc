"""C++ kernels for CPUs, compiled on the machine that they run on; nothing needs them."""
