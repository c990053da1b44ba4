# Builds with Nix: docs/verify-our-build.md says how, also without network.
#
# In: this tree, the locked tools, nixpkgs (or `tools/nix/offline` in its place). Out: packages,
# checks, a shell and a demo. Never: a list that Cargo.toml, Cargo.lock or tools.lock.toml holds.
{
  description = "DeepFlow: zero-code observability for Linux hosts";

  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-25.11";

  outputs = { self, nixpkgs }:
    let
      systems = [ "x86_64-linux" "aarch64-linux" ];
      forAll = make: builtins.listToAttrs
        (map (system: { name = system; value = make system; }) systems);
      # The locked toolchain runs on x86_64; it makes programs for both. On aarch64 Nix hands these
      # builds to a builder for x86_64-linux.
      pkgs = nixpkgs.legacyPackages.x86_64-linux;
      # Nix takes a flake with an input overridden for changed: the offline set tells the commit then.
      revision = self.rev or nixpkgs.deepflowRevision or null;
      ours = import ./tools/nix { inherit pkgs revision; };
    in
    {
      packages = forAll (system: ours.packages);
      checks = forAll (system: ours.checks);
      devShells = forAll (system: {
        default = import ./tools/nix/shell.nix { pkgs = nixpkgs.legacyPackages.${system}; };
      });
      apps = forAll (system: { demo = ours.demo; });
    };
}
