"""The locked tools as a repository, and what Cargo.toml says of the workspace.

In: `.tools/ship`, which `cargo xtask tools fetch` fills and verifies; Cargo.toml. Out: a repository
with the tools and `packages.bzl`. A tool that is missing is refused by its name. Never: a download.
"""

_FOLDERS = ["rust", "zig", "crates"]

def _members(text):
    """Folders of the workspace's packages, as Cargo.toml lists them."""
    begin = text.find("members = [")
    if begin < 0:
        fail("Cargo.toml has no `members`")
    words = text[begin:text.find("]", begin)].split("\"")
    return [words[at] for at in range(1, len(words), 2)]

def _locked_tools_impl(context):
    root = context.workspace_root
    for name in _FOLDERS:
        folder = root.get_child(".tools").get_child("ship").get_child(name)
        if not folder.exists:
            fail("{} is missing: run `cargo xtask tools fetch`".format(folder))
        context.symlink(folder, name)
    members = _members(context.read(context.path(Label("//:Cargo.toml"))))
    context.file("packages.bzl", "PACKAGES = {}\n".format(repr(members)))
    context.file(
        "BUILD.bazel",
        "exports_files({}, visibility = [\"//visibility:public\"])\n".format(
            repr(_FOLDERS + ["packages.bzl"]),
        ),
    )

locked_tools = repository_rule(
    implementation = _locked_tools_impl,
    local = True,
    doc = "Tools of tools.lock.toml, from where `cargo xtask tools fetch` puts them.",
)
