# The few functions of nixpkgs that our flake calls, on this machine's own shell and linker.
#
# In: the same arguments as there. Out: the same as there, for builds whose sandbox shows /bin, /usr,
# /lib and /lib64 (`cargo xtask nix` sets that). Never: the network; crates and tools are in the
# store by their digests (`cargo xtask tools store`) or are asked for by name.
let
  run = name: environment: script: derivation ({
    inherit name;
    system = "x86_64-linux";
    builder = "/bin/sh";
    args = [ "-euc" "${prelude}${script}" ];
  } // removeAttrs environment [ "nativeBuildInputs" ]);
  prelude = ''
    export PATH=/usr/bin:/bin HOME=$TMPDIR
    cd "$TMPDIR"
  '';

  brought = import ./brought.nix;

  importCargoLock = { lockFile }:
    let
      lock = builtins.fromTOML (builtins.readFile lockFile);
      others = builtins.filter (one: one ? checksum) lock.package;
      archive = one: brought {
        name = "${one.name}-${one.version}.crate";
        sha256 = one.checksum;
        message = "crate ${one.name} ${one.version} is not in the store: `cargo xtask tools store`";
      };
      unpack = one: ''
        tar -xzf ${archive one} -C $out
        echo '{"files":{},"package":"${one.checksum}"}' \
          > "$out/${one.name}-${one.version}/.cargo-checksum.json"
      '';
    in
    run "crates" { script = builtins.concatStringsSep "" (map unpack others); passAsFile = [ "script" ]; } ''
      mkdir $out
      . "$scriptPath"
    '';
in
{
  hasUsualPaths = true;
  runCommandCC = run;
  rustPlatform = { inherit importCargoLock; };
  writeShellScript = name: text: run name { inherit text; } ''
    printf '#!/bin/sh\n%s' "$text" > $out
    chmod 755 $out
  '';
  mkShell = { packages }: run "shell" { } "mkdir $out";
  # On this machine, by their usual names.
  python3 = null;
  dpkg = null;
  rustup = null;
  nodejs = null;
  llvmPackages = { clang-unwrapped = null; llvm = null; };
}
