# Stands for nixpkgs where there is no network: `--override-input nixpkgs path:./tools/nix/offline`.
{
  description = "The few functions of nixpkgs that our flake calls, on this machine's own tools";
  outputs = { self }: {
    legacyPackages.x86_64-linux = import ./packages.nix;
    legacyPackages.aarch64-linux = import ./packages.nix;
    # Written beside a copy of this by `cargo xtask nix`, if the tree is at a commit.
    deepflowRevision = if builtins.pathExists ./revision.nix then import ./revision.nix else null;
  };
}
