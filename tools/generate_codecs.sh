#!/usr/bin/env bash
# generate_codecs.sh [--check]: make the SBE codecs of schemas/*.xml into src/tidepool/wire/generated (committed, so
# that nobody needs Java to build).
#   --check   regenerate into a temporary folder where Java and Maven are there and demand no difference; everywhere
#             compare the hash of the schemas with the one that the committed codecs were made from
set -euo pipefail
here=$(cd "$(dirname "$0")/.." && pwd)
out=$here/src/tidepool/wire/generated
stamp=$out/schemas.sha256
mode=${1:-write}

hash_schemas() { (cd "$here/schemas" && sha256sum -- *.xml); }

generate() { # DIR
  local dir=$1 tmp cp
  tmp=$(mktemp -d)
  mvn -q -B -f "$here/tools/sbe/pom.xml" org.apache.maven.plugins:maven-dependency-plugin:3.6.1:build-classpath -Dmdep.outputFile="$tmp/cp.txt" >"$tmp/log" 2>&1 ||
    { tail -20 "$tmp/log" >&2; echo "generate_codecs: Maven could not fetch sbe-tool 1.37.1" >&2; exit 1; }
  cp=$(cat "$tmp/cp.txt")
  for schema in "$here"/schemas/*.xml; do
    java --add-opens java.base/jdk.internal.misc=ALL-UNNAMED -Dsbe.target.language=Cpp -Dsbe.output.dir="$dir" \
      -Dsbe.validation.stop.on.error=true -Dsbe.decode.unknown.enum.values=true -cp "$cp" uk.co.real_logic.sbe.SbeTool "$schema"
  done
  hash_schemas >"$dir/schemas.sha256"
  rm -rf "$tmp"
}

case $mode in
write)
  command -v java >/dev/null && command -v mvn >/dev/null || { echo "generate_codecs: needs Java 17 and Maven: apt-get install openjdk-17-jdk-headless maven" >&2; exit 1; }
  rm -rf "$out"; mkdir -p "$out"; generate "$out"; echo "codecs written to ${out#"$here"/}" ;;
--check)
  if ! diff <(hash_schemas) "$stamp" >/dev/null; then
    echo "generate_codecs: the codecs in ${out#"$here"/} were not made from schemas/*.xml as they are now; run tools/generate_codecs.sh" >&2
    exit 1
  fi
  if command -v java >/dev/null && command -v mvn >/dev/null; then
    fresh=$(mktemp -d); generate "$fresh"
    diff -r "$fresh" "$out" >&2 || { echo "generate_codecs: the committed codecs differ from what the generator makes; run tools/generate_codecs.sh" >&2; exit 1; }
    rm -rf "$fresh"; echo "codecs are current (regenerated and compared)"
  else
    echo "codecs are current (hash of the schemas; no Java here to regenerate them)"
  fi ;;
*) echo "usage: generate_codecs.sh [--check]" >&2; exit 2 ;;
esac
