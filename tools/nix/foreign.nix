# Programs that were built for a Linux with the usual paths, such as rustup's.
#
# In: a folder of them. Out: the same; under nixpkgs with their interpreter and libraries found in
# the store. The offline set runs them where those paths are, and says so by `hasUsualPaths`.
{ pkgs, folder }:
if pkgs.hasUsualPaths or false then folder
else pkgs.stdenv.mkDerivation {
  name = "rust";
  src = folder;
  nativeBuildInputs = [ pkgs.autoPatchelfHook ];
  buildInputs = [ pkgs.stdenv.cc.cc.lib pkgs.zlib ];
  dontConfigure = true;
  dontBuild = true;
  dontStrip = true;
  installPhase = "cp -r . $out";
}
