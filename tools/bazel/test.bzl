"""Runs the tests of a package of the workspace, built for static musl with the locked tools.

In: all sources, locked tools. Out: passed or failed. Never: a test that needs root or a server;
those are `make test`.
"""

_SCRIPT = """#!/bin/sh
set -eu
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
mkdir "$scratch/source"
xargs cp -L --parents -t "$scratch/source" < '{list}'
here=$PWD
export RUST="$here/{rust}" ZIG="$here/{zig}" CRATES="$here/{crates}" SCRATCH="$scratch/between"
export REVISION=unknown
cd "$scratch/source"
exec sh tools/ship/test.sh '{package}'
"""

def _cargo_test_impl(context):
    script = context.actions.declare_file(context.label.name + ".sh")
    listed = context.actions.declare_file(context.label.name + ".sources")
    tools = [context.file._rust, context.file._zig, context.file._crates]
    sources = context.files.sources
    context.actions.write(listed, "".join([file.short_path + "\n" for file in sources]))
    context.actions.write(script, is_executable = True, content = _SCRIPT.format(
        list = listed.short_path,
        package = context.attr.package,
        rust = tools[0].short_path,
        zig = tools[1].short_path,
        crates = tools[2].short_path,
    ))
    return [DefaultInfo(
        executable = script,
        runfiles = context.runfiles(files = sources + tools + [listed]),
    )]

cargo_test = rule(
    implementation = _cargo_test_impl,
    test = True,
    attrs = {
        "package": attr.string(mandatory = True),
        "sources": attr.label_list(allow_files = True),
        "_rust": attr.label(default = "@locked//:rust", allow_single_file = True),
        "_zig": attr.label(default = "@locked//:zig", allow_single_file = True),
        "_crates": attr.label(default = "@locked//:crates", allow_single_file = True),
    },
)
