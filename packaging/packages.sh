#!/usr/bin/env bash
# Makes the packages in dist/, for `make packages`. The same commit gives the same bytes: every time is that of the
# commit, no path and no name of this machine is in a file.
# ARCHES and FORMATS limit it: ARCHES=amd64 FORMATS=deb make packages
set -euo pipefail
cd "$(dirname "$0")/.."
umask 022
export LC_ALL=C TZ=UTC
export VERSION ARCH TREE SOURCE_DATE_EPOCH

released=$(sed -n 's/^## \[[0-9].*\] - //p' CHANGELOG.md | head -n 1)
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct 2>/dev/null || date -d "$released" +%s)
work=dist/work
rm -rf "$work"
mkdir -p "$work"
scripts=$work/scripts
cp -r packaging/scripts $scripts
find $scripts -exec touch -d "@$SOURCE_DATE_EPOCH" {} +
$GO build -modfile=packaging/tools.mod -o "$work/nfpm" github.com/goreleaser/nfpm/v2/cmd/nfpm

# Debian's name of an architecture, and Go's.
declare -A golang=([amd64]=amd64 [arm64]=arm64 [armhf]="arm GOARM=7" [riscv64]=riscv64 [s390x]=s390x [ppc64el]=ppc64le)
for name in ${ARCHES:-amd64 arm64 armhf riscv64 s390x ppc64el}; do
	binaries=$work/bin/$name
	env GOARCH=${golang[$name]} CGO_ENABLED=0 "$GO" build -trimpath -ldflags "-s -w -X main.version=$VERSION" \
		-o "$binaries/" ./cmd/...
	cp -r bin/completion "$binaries/"
	formats=deb
	case $name in amd64 | arm64) formats="deb rpm apk archlinux" ;; esac
	ARCH=${golang[$name]%% *}
	if [ "$name" = armhf ]; then ARCH=arm7; fi
	for package in ctkeeper exporter; do
		TREE=$work/$package/$name
		make -s "install-$package" BIN="$binaries" DESTDIR="$TREE" PREFIX=/usr
		find "$TREE" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
		for format in $formats; do
			case " ${FORMATS:-$formats} " in *" $format "*) ;; *) continue ;; esac
			"$work/nfpm" package -f "packaging/$package.nfpm.yaml" -p "$format" -t dist/
		done
	done
done
(cd dist && sha256sum ctkeeper* > SHA256SUMS)
