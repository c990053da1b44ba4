"""A package of the workspace: its sources, and its tests as one target.

In: the folder. Out: `:sources` and `:test`. Never: a list of files or dependencies; the folder and
its Cargo.toml have them.
"""

load("//tools/bazel:test.bzl", "cargo_test")

def cargo_package(name = "sources"):
    """What every BUILD.bazel of a package calls."""
    native.filegroup(
        name = name,
        srcs = native.glob(["**"], exclude = ["**/node_modules/**", "**/target/**", "**/BUILD.bazel"]),
        visibility = ["//visibility:public"],
    )
    cargo_test(
        name = "test",
        package = native.package_name(),
        sources = ["//:workspace"],
    )
