"""Generates C++ from protos with Debian's protoc and gRPC plugin."""

def cc_grpc_library(name, srcs, deps = [], grpc = True, visibility = None):
    """A cc_library of the messages, and of the services if `grpc`.

    Args:
      name: of the library.
      srcs: .proto files of this package.
      deps: other cc_grpc_library targets that they import.
      grpc: also generate services.
      visibility: of the library.
    """
    stems = [src[:-len(".proto")] for src in srcs]
    outs = []
    for stem in stems:
        outs += [stem + ".pb.h", stem + ".pb.cc"]
        if grpc:
            outs += [stem + ".grpc.pb.h", stem + ".grpc.pb.cc"]
    protos = [dep + "_protos" for dep in deps]
    native.filegroup(
        name = name + "_protos",
        srcs = srcs + protos,
        visibility = ["//proto:__subpackages__", "//tests:__subpackages__"],
    )
    flags = "--cpp_out=$(RULEDIR)/" + "../" * native.package_name().count("/")
    if grpc:
        flags += " --grpc_out=" + flags.split("=")[1]
        flags += " --plugin=protoc-gen-grpc=/usr/bin/grpc_cpp_plugin"
    native.genrule(
        name = name + "_codegen",
        srcs = srcs + protos,
        outs = outs,
        cmd = "protoc -I proto " + flags + " " +
              " ".join(["$(location %s)" % src for src in srcs]),
    )
    native.cc_library(
        name = name,
        srcs = [out for out in outs if out.endswith(".cc")],
        hdrs = [out for out in outs if out.endswith(".h")],
        copts = ["-w"],
        strip_include_prefix = "/proto",
        visibility = visibility,
        deps = deps + ["@debian//:grpc"],
    )
