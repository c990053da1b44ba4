"""What we ship, by the same steps as `cargo xtask static|images` and Nix: tools/ship/*.sh.

In: sources of the packages, locked tools, `--define=REVISION=COMMIT`. Out: programs, BPF objects,
images, tests. Never: a list of packages, which Cargo.toml has (tools.bzl reads it).
"""

_TOOLS = {
    "_rust": attr.label(default = "@locked//:rust", allow_single_file = True),
    "_zig": attr.label(default = "@locked//:zig", allow_single_file = True),
    "_crates": attr.label(default = "@locked//:crates", allow_single_file = True),
}

# Where sources are copied to, as the compiler would see links to other places else.
_ANYWHERE = """
set -eu
scratch=$(mktemp -d)
"""

# Test programs know places of their build: they are built and run at the same, one after another.
_AT_ONE_PLACE = """
set -eu
scratch=/tmp/deepflow-tests
exec 9> "$scratch.lock"
flock 9
rm -rf "$scratch"
mkdir "$scratch"
"""
_BEGIN = """
here=$PWD
trap 'rm -rf "$scratch"' EXIT
mkdir "$scratch/source"
xargs cp -L --parents -t "$scratch/source" < "$LIST"
export RUST="$here/$RUST" ZIG="$here/$ZIG" CRATES="$here/$CRATES" SCRATCH="$scratch/between"
cd "$scratch/source"
"""

def _listed(context):
    """The sources' places, a line each: a command line would be too long."""
    listed = context.actions.declare_file(context.label.name + ".sources")
    places = [file.short_path + "\n" for file in context.files.sources]
    context.actions.write(listed, "".join(places))
    return listed

def _tools(context):
    return [context.file._rust, context.file._zig, context.file._crates]

def _variables(context, listed, place):
    """What the steps are told; `place` says where a file is then."""
    return {
        "LIST": place(listed),
        "RUST": place(context.file._rust),
        "ZIG": place(context.file._zig),
        "CRATES": place(context.file._crates),
        "REVISION": context.var.get("REVISION", "unknown"),
    }

def _step(context, mnemonic, output, command, inputs = [], environment = {}, place = _ANYWHERE):
    sources = context.files.sources
    listed = _listed(context)
    context.actions.run_shell(
        mnemonic = mnemonic,
        progress_message = mnemonic + " %{output}",
        outputs = [output],
        inputs = sources + inputs + _tools(context) + [listed],
        command = place + _BEGIN + command,
        env = _variables(context, listed, lambda file: file.path) | {"OUTPUT": output.path} | environment,
    )
    return [DefaultInfo(
        files = depset([output]),
        executable = None if output.is_directory else output,
    )]

def _program_impl(context):
    output = context.actions.declare_file(context.attr.arch + "/" + context.attr.program)
    return _step(
        context,
        "Program",
        output,
        """
        sh tools/ship/program.sh "$ARCH-unknown-linux-$LIBC" "$PACKAGE" "$PROGRAM" "$scratch/out"
        cp "$scratch/out/$PROGRAM" "$here/$OUTPUT"
        """,
        environment = {
            "ARCH": context.attr.arch,
            "LIBC": context.attr.libc,
            "PACKAGE": context.attr.package,
            "PROGRAM": context.attr.program,
        },
    )

program = rule(
    implementation = _program_impl,
    executable = True,
    attrs = _TOOLS | {
        "sources": attr.label_list(allow_files = True),
        "arch": attr.string(mandatory = True),
        "libc": attr.string(default = "musl", values = ["musl", "gnu"]),
        "package": attr.string(mandatory = True),
        "program": attr.string(mandatory = True),
    },
)

def _objects_impl(context):
    return _step(
        context,
        "Objects",
        context.actions.declare_directory(context.label.name),
        """
        sh tools/ship/objects.sh "$here/$OUTPUT"
        """,
    )

objects = rule(
    implementation = _objects_impl,
    attrs = _TOOLS | {"sources": attr.label_list(allow_files = True)},
)

def _image_impl(context):
    output = context.actions.declare_file(context.label.name + ".tar")
    return _step(
        context,
        "Image",
        output,
        """
        export IMAGES="$here/$BUILDER"
        for input in $INPUTS; do
          set -- "$@" "${input%%=*}=$here/${input#*=}"
        done
        sh tools/ship/image.sh "$IMAGE" "$ARCH" "$here/$OUTPUT" "$@"
        """,
        inputs = [context.file.builder] + context.files.inputs,
        environment = {
            "ARCH": context.attr.arch,
            "IMAGE": context.attr.image,
            "BUILDER": context.file.builder.path,
            "INPUTS": " ".join([
                "{}={}".format(name, label.files.to_list()[0].path)
                for label, name in context.attr.inputs.items()
            ]),
        },
    )

image = rule(
    implementation = _image_impl,
    executable = True,
    attrs = _TOOLS | {
        "sources": attr.label_list(allow_files = True),
        "arch": attr.string(mandatory = True),
        "image": attr.string(mandatory = True),
        "builder": attr.label(mandatory = True, allow_single_file = True),
        "inputs": attr.label_keyed_string_dict(mandatory = True, allow_files = True),
    },
)

def _index_impl(context):
    output = context.actions.declare_file(context.attr.image + ".tar")
    context.actions.run(
        mnemonic = "ImageIndex",
        outputs = [output],
        inputs = context.files.images,
        executable = context.file.builder,
        arguments = ["index", "--output", output.path] + [one.path for one in context.files.images],
    )
    return [DefaultInfo(files = depset([output]))]

image_index = rule(
    implementation = _index_impl,
    attrs = {
        "image": attr.string(mandatory = True),
        "images": attr.label_list(mandatory = True, allow_files = True),
        "builder": attr.label(mandatory = True, allow_single_file = True),
    },
)

def _none_impl(context):
    fail("no {}: {}".format(context.label.name, context.attr.why))

none = rule(
    doc = "What there is not, with the reason, for who asks for it by name.",
    implementation = _none_impl,
    attrs = {"why": attr.string(mandatory = True)},
)

def _test_programs_impl(context):
    return _step(
        context,
        "TestPrograms",
        context.actions.declare_directory(context.label.name),
        """
        sh tools/ship/test-programs.sh "$here/$OUTPUT" 9>&-
        """,
        place = _AT_ONE_PLACE,
    )

test_programs = rule(
    doc = "The tests of all packages, compiled once.",
    implementation = _test_programs_impl,
    attrs = _TOOLS | {"sources": attr.label_list(allow_files = True)},
)

def _tests_impl(context):
    listed = _listed(context)
    script = context.actions.declare_file(context.label.name + ".sh")
    words = _variables(context, listed, lambda file: file.short_path)
    programs = context.file._programs
    context.actions.write(
        script,
        "#!/bin/sh\n" + "".join(["%s='%s'\n" % word for word in words.items()]) +
        "export REVISION\n" + _AT_ONE_PLACE + _BEGIN + "sh tools/ship/tests.sh \"$here/%s\" '%s' \"$@\" 9>&-\n" %
        (programs.short_path, context.label.package),
        is_executable = True,
    )
    needed = context.files.sources + _tools(context) + [listed, programs]
    return [DefaultInfo(executable = script, runfiles = context.runfiles(files = needed))]

_tests_test = rule(
    implementation = _tests_impl,
    test = True,
    attrs = _TOOLS | {
        "sources": attr.label_list(allow_files = True),
        "_programs": attr.label(default = "//:test-programs", allow_single_file = True),
    },
)

def cargo_package():
    """A package of Cargo.toml: its files, and its tests with the locked tools."""
    native.filegroup(
        name = "sources",
        srcs = native.glob(["**"], exclude = ["**/node_modules/**", "target/**"]),
        visibility = ["//visibility:public"],
    )
    _tests_test(
        name = "tests",
        size = "large",
        timeout = "eternal",
        sources = ["//:workspace", "//:papers"],
        # Each uses all processors.
        tags = ["exclusive"],
    )
