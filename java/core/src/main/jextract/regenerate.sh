#!/usr/bin/env bash
# Regenerates io.sterna.kernel.ffm from sterna.h and cblas.h with jextract (https://jdk.java.net/jextract).
#
#   JEXTRACT=<jextract executable> java/core/src/main/jextract/regenerate.sh
#
# cblas.h comes from the OpenBLAS jar that the build resolves, so run `mvn package` once before.
set -euo pipefail

: "${JEXTRACT:?set JEXTRACT to the jextract executable}"
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../../../../.." && pwd)
sources=$here/../java
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

version=$(sed -n 's:.*<openblas.version>\(.*\)</openblas.version>.*:\1:p' "$root/pom.xml")
jar=${OPENBLAS_JAR:-$HOME/.m2/repository/org/bytedeco/openblas/$version/openblas-$version-linux-x86_64.jar}
[[ -f $jar ]] || { echo "no OpenBLAS jar at $jar: run mvn package once, or set OPENBLAS_JAR" >&2; exit 1; }
unzip -qoj "$jar" 'org/bytedeco/openblas/linux-x86_64/include/*.h' -d "$work/openblas"

# sterna.args lists every declaration of sterna.h and nothing that it includes.
{
  echo "# Written by regenerate.sh: every declaration of sterna.h."
  echo "--target-package io.sterna.kernel.ffm"
  echo "--header-class-name sterna_h"
  "$JEXTRACT" --dump-includes "$work/includes" "$root/native/include/sterna.h"
  sed -n 's/^\(--include-[a-z]* \(sterna\|STERNA\)_[A-Za-z0-9_]*\).*/\1/p' "$work/includes" | LC_ALL=C sort
} > "$here/sterna.args"

# arguments <file>: an argument file without its comments.
arguments() { grep -v '^#' "$1"; }

arguments "$here/sterna.args" > "$work/sterna.args"
arguments "$here/cblas.args" > "$work/cblas.args"
"$JEXTRACT" "@$work/sterna.args" --output "$work/java" "$root/native/include/sterna.h"
"$JEXTRACT" "@$work/cblas.args" --output "$work/java" -I "$work/openblas" "$work/openblas/cblas.h"

# jextract knows loader and system lookups only; ours come from the library that the kernel package
# verified and loaded, whichever class loader asks.
bind() {
  sed -i -z "s/static final SymbolLookup SYMBOL_LOOKUP = [^;]*;/static final SymbolLookup SYMBOL_LOOKUP = io.sterna.kernel.$2.symbols();/" \
    "$work/java/io/sterna/kernel/ffm/$1"*.java
  grep -q "io.sterna.kernel.$2.symbols()" "$work/java/io/sterna/kernel/ffm/$1"*.java \
    || { echo "this jextract writes SYMBOL_LOOKUP in another form: adapt bind() in $0" >&2; exit 1; }
}
bind sterna_h NativeLibrary
bind cblas_h OpenBlas

mkdir -p "$sources/io/sterna/kernel/ffm"
find "$sources/io/sterna/kernel/ffm" -name '*.java' ! -name package-info.java -delete
cp "$work"/java/io/sterna/kernel/ffm/*.java "$sources/io/sterna/kernel/ffm/"
