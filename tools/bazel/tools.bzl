"""The locked tools as a repository, and what Cargo.toml says of the workspace.

In: `.tools/ship`, which `cargo xtask tools fetch` fills and verifies; Cargo.toml, tools.lock.toml,
Cargo.lock. Out: a repository with the tools and `packages.bzl`. A tool that is missing, or is not
what is locked, is refused by its name; for the toolchain, a folder, `cargo xtask tools verify` does
that. Never: a download.
"""

_FOLDERS = ["rust", "zig", "crates"]

# What the server's image is made with: `cargo xtask tools fetch --image deepflow-server`.
_SERVER = ["libchdb.so", "libc6-amd64.deb"]

def _members(text):
    """Folders of the workspace's packages, as Cargo.toml lists them."""
    begin = text.find("members = [")
    if begin < 0:
        fail("Cargo.toml has no `members`")
    words = text[begin:text.find("]", begin)].split("\"")
    return [words[at] for at in range(1, len(words), 2)]

def _locked(text):
    """Name and sha256 of each tool of tools.lock.toml that is a file, by the file's name."""
    files = {}
    for table in text.split("[[tool]]")[1:]:
        facts = {}
        for line in table.splitlines():
            key, _, value = line.partition(" = ")
            facts[key] = value.strip("\"")
        if "file" in facts:
            files[facts["file"]] = (facts["name"], facts["sha256"])
    return files

def _verify(context, tools):
    for file, (name, sha256) in _locked(context.read(context.path(Label("//:tools.lock.toml")))).items():
        # What was unpacked of it is told beside.
        if name == "ziglang":
            stamp = tools.get_child("zig.sha256")
            if not stamp.exists or context.read(stamp) != sha256:
                fail("{} is not what is locked: run `cargo xtask tools fetch`".format(name))
        place = tools.get_child(file)
        if not place.exists:
            continue
        found = context.execute(["sha256sum", place]).stdout.split(" ")[0]
        if found != sha256:
            fail("{} is not what is locked: {} has sha256 {}".format(name, place, found))
    unpacked = tools.get_child("crates.lock")
    if not unpacked.exists or context.read(unpacked) != context.read(context.path(Label("//:Cargo.lock"))):
        fail("crates are not those of Cargo.lock: run `cargo xtask tools fetch`")

def _locked_tools_impl(context):
    root = context.workspace_root
    tools = root.get_child(".tools").get_child("ship")
    for name in _FOLDERS:
        folder = tools.get_child(name)
        if not folder.exists:
            fail("{} is missing: run `cargo xtask tools fetch`".format(folder))
        context.symlink(folder, name)
    _verify(context, tools)
    for name in _SERVER:
        if tools.get_child(name).exists:
            context.symlink(tools.get_child(name), name)
    members = _members(context.read(context.path(Label("//:Cargo.toml"))))
    context.file("packages.bzl", "PACKAGES = {}\n".format(repr(members)))
    context.file(
        "BUILD.bazel",
        "exports_files({}, visibility = [\"//visibility:public\"])\n".format(
            repr(_FOLDERS + _SERVER + ["packages.bzl"]),
        ),
    )

locked_tools = repository_rule(
    implementation = _locked_tools_impl,
    local = True,
    doc = "Tools of tools.lock.toml, from where `cargo xtask tools fetch` puts them.",
)
