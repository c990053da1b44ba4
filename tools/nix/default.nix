# What we ship, as derivations around tools/ship/*.sh.
#
# In: a package set, the commit of the tree (null: it has changes). Out: packages, checks, demo.
# Never: a tool that tools.lock.toml does not name, but for the shell and the linker that build
# scripts of crates are linked with, which leave nothing in what comes out.
{ pkgs, revision }:
let
  lock = builtins.fromTOML (builtins.readFile ../../tools.lock.toml);
  cargo = builtins.fromTOML (builtins.readFile ../../Cargo.toml);

  # Tools are brought by their own clients, then added to the store by digest, not by address.
  brought = name:
    let tool = builtins.head (builtins.filter (one: one.name == name) lock.tool);
    in import ./offline/brought.nix {
      name = tool.file or tool.name;
      sha256 = tool.sha256;
      isFolder = tool.folder or false;
      message = "${name} ${tool.version} is not in the store: run `cargo xtask tools store`";
    };

  rust = import ./foreign.nix { inherit pkgs; folder = brought "rust"; };
  zig = pkgs.runCommandCC "zig" { nativeBuildInputs = [ pkgs.python3 ]; } ''
    python3 -m zipfile -e ${brought "ziglang"} unpacked
    mv unpacked/ziglang $out
    chmod 755 $out/zig
  '';
  crates = pkgs.rustPlatform.importCargoLock { lockFile = ../../Cargo.lock; };

  # Files outside of these change nothing, so they cause no build.
  top = path: builtins.head (builtins.split "/" path);
  wanted = map top cargo.workspace.members
    ++ [ "Cargo.toml" "Cargo.lock" "LICENSE" "bpf" "kernel-matrix" "tools.lock.toml" ];
  root = toString ../..;
  below = path: builtins.substring (builtins.stringLength root + 1) (-1) path;
  source = builtins.path {
    name = "deepflow";
    path = ../..;
    filter = path: kind: builtins.elem (top (below path)) wanted
      && ! builtins.elem (baseNameOf path) [ "node_modules" "target" ];
  };

  step = name: script: pkgs.runCommandCC name { nativeBuildInputs = [ pkgs.dpkg ]; } ''
    export RUST=${rust} ZIG=${zig} CRATES=${crates} SCRATCH=$TMPDIR/scratch
    export REVISION=${if revision == null then "unknown" else revision}
    cd ${source}
    ${script}
  '';
  program = triple: package: name: step "${name}-${triple}" ''
    sh tools/ship/program.sh ${triple} ${package} ${name} $out/bin
  '';
  static = arch: program "${arch}-unknown-linux-musl";
  agent = arch: static arch "agentd" "deepflow-agent";
  builder = static "x86_64" "images" "images";
  server = program "x86_64-unknown-linux-gnu" "serverd" "deepflow-server";
  control = static "x86_64" "ctl" "deepflow-ctl";

  objects = step "bpf-objects" "sh tools/ship/objects.sh $out";

  # Refused when it is built, so that the rest can be listed and checked.
  none = name: why: pkgs.runCommandCC name { inherit why; } ''
    echo "no ${name}: $why" >&2
    exit 1
  '';
  imageOf = name: arch: inputs:
    if revision == null
    then none "deepflow-${name}-${arch}.tar" "this tree has changes that no commit has; an image names its commit"
    else step "deepflow-${name}-${arch}.tar" ''
      export IMAGES=${builder}/bin/images
      sh tools/ship/image.sh ${name} ${arch} $out ${inputs}
    '';
  image = arch: imageOf "agent" arch "agent=${agent arch}/bin/deepflow-agent";
  # The server's engine is locked for x86_64 alone.
  noServer = name: none name "tools.lock.toml locks its engine, libchdb, for x86_64 alone";
  serverImage = imageOf "server" "x86_64" (builtins.concatStringsSep " " [
    "server=${server}/bin/deepflow-server"
    "ctl=${control}/bin/deepflow-ctl"
    "engine=${brought "libchdb"}"
    "runtime=${brought "glibc"}"
  ]);
  index = step "deepflow-agent.tar" ''
    ${builder}/bin/images index --output $out ${image "x86_64"} ${image "aarch64"}
  '';
  clean = arch: step "deepflow-agent-${arch}-is-static-and-names-no-path" ''
    ${builder}/bin/images inspect --architecture ${arch} --without /nix/store --without $TMPDIR \
      ${agent arch}/bin/deepflow-agent
    touch $out
  '';
  # The agent tells the digests of those that it holds.
  same = step "bpf-objects-are-those-of-the-agent" ''
    ${agent "x86_64"}/bin/deepflow-agent --version > "$TMPDIR/told"
    cd ${objects}
    for object in *.o; do
      digest=$(sha256sum "$object")
      grep -q "$object.*''${digest%% *}" "$TMPDIR/told" ||
        { echo "$object of the agent is another:"; cat "$TMPDIR/told"; exit 1; } >&2
    done
    touch $out
  '';
in
rec {
  packages = {
    bpf-objects = objects;
    agent-x86_64 = agent "x86_64";
    agent-aarch64 = agent "aarch64";
    agent-image-x86_64 = image "x86_64";
    agent-image-aarch64 = image "aarch64";
    images = index;
    server-x86_64 = server;
    ctl-x86_64 = control;
    server-image-x86_64 = serverImage;
    server-aarch64 = noServer "server-aarch64";
    server-image-aarch64 = noServer "server-image-aarch64";
    default = packages.agent-x86_64;
  };
  checks = {
    agent-x86_64 = clean "x86_64";
    agent-aarch64 = clean "aarch64";
    bpf-objects = same;
  };
  # What the agent can do on this kernel.
  demo = {
    type = "app";
    meta.description = "What the agent can do on this kernel";
    program = toString (pkgs.writeShellScript "deepflow-demo" ''
      exec ${packages.agent-x86_64}/bin/deepflow-agent check "$@"
    '');
  };
}
