# A thing that its own client brings, and that `cargo xtask tools store` adds to the store by digest.
#
# In: its name, its sha256 (of a folder: of its Nix archive), what to say where it is not in the store.
# Out: its place there. Never: a download. (nixpkgs has requireFile for that, which calls everything
# unfree, so that it is refused until somebody allows it.)
{ name, sha256, message, isFolder ? false }:
derivation {
  inherit name message;
  system = "x86_64-linux";
  builder = "/bin/sh";
  args = [ "-c" "echo \"$message\" >&2; exit 1" ];
  outputHashAlgo = "sha256";
  outputHashMode = if isFolder then "recursive" else "flat";
  outputHash = sha256;
  preferLocalBuild = true;
}
