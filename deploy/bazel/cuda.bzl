"""What targets that need the CUDA toolkit have in common."""

# Left out of builds without --config=cuda. The toolkit's headers must be on the
# compiler's default path, as those of all libraries (debian.BUILD).
CUDA_ONLY = select({
    "//:cuda": [],
    "//conditions:default": ["//deploy/bazel:never"],
})

# Device code that g++ compiles (kernels/cuda_host): nvcc lets a vector type
# point at elements, and rounds products as it likes, but here always alike.
DEVICE_CODE_COPTS = [
    "-fno-strict-aliasing",
    "-ffp-contract=off",
]
