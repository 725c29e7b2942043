#!/bin/sh
# Install jetsend from what `make dist` has made, on the web or in a folder:
#
#	install.sh --url https://example.org/jetsend/1.0.0 [--prefix DIR]
#	install.sh --from DIR [--prefix DIR]
#
# It picks the archive for this machine, holds it against SHA256SUMS of the same place, and
# puts program, man pages and completion below DIR: ~/.local, or PREFIX in the environment.
# SHA256SUMS shows that nothing was damaged on its way. Who made it, only its place says:
# take it from one that you trust, by https.
set -eu
umask 022

say() { printf 'install.sh: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }
usage() { say 'usage: install.sh --url URL | --from DIR [--prefix DIR]'; exit 2; }

url=${JETSEND_URL:-}
from=
prefix=${PREFIX:-${HOME:+$HOME/.local}}
while [ $# -gt 0 ]; do
	case $1 in
	--url | --from | --prefix) [ -n "${2:-}" ] || usage ;;
	esac
	case $1 in
	--url) url=$2 from= ;;
	--from) from=$2 url= ;;
	--prefix) prefix=$2 ;;
	*) usage ;;
	esac
	shift 2
done
[ -n "$from$url" ] || usage
[ -n "$prefix" ] || die 'HOME is not set: say where with --prefix'
case $prefix in
/*) ;;
*) prefix=$PWD/$prefix ;;
esac
case $prefix in
*[!A-Za-z0-9/._+@-]*) die "the prefix has a character that a service unit would not take: $prefix" ;;
esac

machine=$(uname -m)
case $(uname -s) in
Linux) os=linux ;;
Darwin) os=darwin ;;
FreeBSD) os=freebsd ;;
OpenBSD) os=openbsd ;;
NetBSD) os=netbsd ;;
MINGW* | MSYS* | CYGWIN*) die 'on Windows unpack the .zip for it by hand' ;;
*) die "there is no jetsend for $(uname -s)" ;;
esac
[ "$(uname -o 2>/dev/null || :)" != Android ] || os=android
case $machine in
x86_64 | amd64) arch=amd64 ;;
aarch64 | arm64) arch=arm64 ;;
armv7* | armv8l) arch=armv7 ;;
riscv64) arch=riscv64 ;;
s390x) arch=s390x ;;
*) die "there is no jetsend for the processor $machine" ;;
esac
# A program for amd64 under Rosetta is told x86_64.
if [ "$os" = darwin ] && [ "$(sysctl -n hw.optional.arm64 2>/dev/null || :)" = 1 ]; then
	arch=arm64
fi

command -v xz >/dev/null || [ "$os" = darwin ] || [ "$os" = freebsd ] || [ "$os" = netbsd ] || die 'xz is not installed: the archives need it'
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
trap 'exit 130' HUP INT TERM

get() { # get NAME
	if [ -n "$from" ]; then
		[ -f "$from/$1" ] || die "there is no file $from/$1"
		cp "$from/$1" "$tmp/$1"
	elif command -v curl >/dev/null; then
		curl -fsSL -o "$tmp/$1" "${url%/}/$1" || die "cannot get ${url%/}/$1"
	elif command -v wget >/dev/null; then
		wget -q -O "$tmp/$1" "${url%/}/$1" || die "cannot get ${url%/}/$1"
	else
		die 'neither curl nor wget is installed'
	fi
}

sum() { # sum FILE
	if command -v sha256sum >/dev/null; then
		sha256sum "$1" | cut -d ' ' -f 1
	elif command -v shasum >/dev/null; then
		shasum -a 256 "$1" | cut -d ' ' -f 1
	elif command -v sha256 >/dev/null; then
		sha256 -q "$1"
	else
		openssl dgst -sha256 -r "$1" | cut -d ' ' -f 1
	fi
}

get SHA256SUMS
line=$(grep -E "^[0-9a-f]{64} [ *]jetsend-[A-Za-z0-9.+~-]*-$os-$arch\.tar\.xz\$" "$tmp/SHA256SUMS") || die "there is no jetsend for $os/$arch in ${from:-$url}"
[ "$(printf '%s\n' "$line" | wc -l)" -eq 1 ] || die "there are several versions in ${from:-$url}"
want=${line%% *}
file=${line#*[ *]}
file=${file#[ *]}
get "$file"
is=$(sum "$tmp/$file")
[ "$is" = "$want" ] || die "$file is damaged: its SHA-256 is ${is:-not known}, not $want"

name=${file%.tar.xz}
mkdir "$tmp/tree"
if command -v xz >/dev/null; then
	xz -dc "$tmp/$file" | (cd "$tmp/tree" && tar -xf -)
else
	(cd "$tmp/tree" && tar -xJf "$tmp/$file")
fi
top=$tmp/tree/$name
[ -f "$top/bin/jetsend" ] || die "$file has no program"
"$top/bin/jetsend" version >"$tmp/version" || die 'the program does not run on this machine'

mkdir -p "$prefix/bin" || die "cannot write below $prefix: choose another place with --prefix"
[ -w "$prefix/bin" ] || die "cannot write into $prefix/bin: choose another place with --prefix"
if [ -d "$top/lib/systemd/user" ]; then
	for unit in "$top"/lib/systemd/user/*; do
		sed "s|^ExecStart=[^ ]*|ExecStart=$prefix/bin/jetsend|" "$unit" >"$tmp/unit"
		cat "$tmp/unit" >"$unit"
	done
fi
mkdir -p "$prefix/share/doc/jetsend"
mv "$top/LICENSE" "$top/share/doc/jetsend/"
# One that runs is not written over: it gets another file under its name.
cp "$top/bin/jetsend" "$prefix/bin/.jetsend.$$"
mv -f "$prefix/bin/.jetsend.$$" "$prefix/bin/jetsend"
rm "$top/bin/jetsend"
(cd "$top" && tar -cf - .) | (cd "$prefix" && tar -xf -)
cat "$tmp/version"
echo "installed below $prefix"
case :${PATH:-}: in
*":$prefix/bin:"*) ;;
*) say "$prefix/bin is not in PATH" ;;
esac
