# A shell to work on the tree in: what `make run` and the unit tests need.
{ pkgs }:
pkgs.mkShell {
  packages = [ pkgs.rustup pkgs.llvmPackages.clang-unwrapped pkgs.llvmPackages.llvm pkgs.nodejs ];
}
