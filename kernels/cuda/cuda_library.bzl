"""Device code, compiled by two compilers from one .cu."""

load("//deploy/bazel:cuda.bzl", "CUDA_ONLY", "DEVICE_CODE_COPTS")

# What a CUDA 13 toolkit has that is served on: A100, H100, B200. Device code of
# other generations is made from the last one's PTX.
ARCHITECTURES = ["80", "90", "100"]

NVCC_FLAGS = [
    "-std=c++20",
    "-O3",
    "-Werror=all-warnings",
    "-Xcompiler=-Wall,-Wextra,-fPIC,-fno-omit-frame-pointer",
    "-Xptxas=-v",
] + [
    "-gencode=arch=compute_%s,code=sm_%s" % (arch, arch)
    for arch in ARCHITECTURES
] + ["-gencode=arch=compute_%s,code=compute_%s" % (ARCHITECTURES[-1], ARCHITECTURES[-1])]

def cuda_library(name, hdrs, textual_hdrs = [], deps = []):
    """Makes three libraries of NAME.cu with the same header.

    NAME_launcher  the header alone, for what is linked with either of:
    NAME           compiled by nvcc, to be linked with libcudart; NAME.ptxas is
                   what ptxas says of registers, shared memory and spills
    NAME_emulated  compiled by g++, to be linked with //kernels/cuda_host

    Args:
      name: of the .cu.
      hdrs: what host code includes.
      textual_hdrs: device code that the .cu includes.
      deps: C++ libraries whose headers it includes.
    """
    source = name + ".cu"
    headers = hdrs + textual_hdrs + [
        "compat.h",
        "element.h",
        "//kernels/api:dtype.h",
    ]
    native.cc_library(
        name = name + "_launcher",
        hdrs = hdrs,
        target_compatible_with = CUDA_ONLY,
        deps = deps + ["//kernels/api:dtype"],
    )
    native.genrule(
        name = name + "_nvcc",
        srcs = [source] + headers,
        outs = [name + ".pic.o", name + ".ptxas"],
        # nvcc names its temporary files by process, and sandboxes number theirs
        # alike.
        cmd = "export TMPDIR=$$(mktemp -d); /usr/local/cuda/bin/nvcc " + " ".join(NVCC_FLAGS) +
              " -I. -c $(location " + source + ") -o $(location " + name +
              ".pic.o) 2> $(location " + name + ".ptxas) || " +
              "{ cat $(location " + name + ".ptxas) >&2; exit 1; }",
        target_compatible_with = CUDA_ONLY,
    )
    native.cc_library(
        name = name,
        srcs = [name + ".pic.o"],
        target_compatible_with = CUDA_ONLY,
        deps = [name + "_launcher"],
        alwayslink = True,
    )

    # Bazel takes a .cu for no C++.
    native.genrule(
        name = name + "_as_cc",
        outs = [name + "_emulated.cc"],
        cmd = "echo '#include \"kernels/cuda/" + source + "\"' > $@",
        target_compatible_with = CUDA_ONLY,
    )
    native.cc_library(
        name = name + "_emulated",
        testonly = True,
        srcs = [name + "_emulated.cc"],
        copts = DEVICE_CODE_COPTS,
        target_compatible_with = CUDA_ONLY,
        textual_hdrs = [source, "compat.h", "element.h"] + textual_hdrs,
        deps = [
            name + "_launcher",
            "//kernels/cuda_host:device_code",
        ],
        alwayslink = True,
    )
