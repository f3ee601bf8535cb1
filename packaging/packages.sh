#!/usr/bin/env bash
# Makes the packages, an SBOM of each program and SHA256SUMS in dist/, for `make packages`. The same commit gives the
# same bytes: every time is that of the commit, and no path or name of this machine is in a file.
# ARCHES and FORMATS limit it: make packages ARCHES=amd64 FORMATS=deb
set -euo pipefail
cd "$(dirname "$0")/.."
umask 022
export LC_ALL=C TZ=UTC
export VERSION ARCH TREE SOURCE_DATE_EPOCH

released=$(sed -n 's/^## \[[0-9].*\] - //p' CHANGELOG.md | head -n 1)
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct 2>/dev/null || date -d "$released" +%s)
work=dist/work
# `apt install ./dist/ctkeeper_*.deb` finds one version.
rm -rf "$work" dist/ctkeeper[-_]*
mkdir -p "$work"
# The tools' own bytes are in the SBOM.
build=("$GO" build -trimpath -buildvcs=false)
CGO_ENABLED=0 "${build[@]}" -modfile=packaging/tools.mod -o "$work/" github.com/goreleaser/nfpm/v2/cmd/nfpm \
	github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod
"${build[@]}" -o "$work/" ./packaging/metadata

cp -r packaging/scripts "$work/scripts"
"$work/metadata" changelog "$VERSION-1" > "$work/changelog.yaml"

# Debian's name of an architecture, and Go's.
declare -A golang=([amd64]=amd64 [arm64]=arm64 [armhf]="arm GOARM=7" [riscv64]=riscv64 [s390x]=s390x [ppc64el]=ppc64le)
for name in ${ARCHES:-amd64 arm64 armhf riscv64 s390x ppc64el}; do
	binaries=$work/bin/$name
	env GOARCH=${golang[$name]} CGO_ENABLED=0 "$GO" build -buildvcs=auto -trimpath \
		-ldflags "-s -w -X main.version=$VERSION" -o "$binaries/" ./cmd/...
	cp -r bin/completion "$binaries/"
	formats=deb
	case $name in amd64 | arm64) formats="deb rpm apk archlinux" ;; esac
	# nfpm's name of the architecture.
	ARCH=${golang[$name]%% *}
	if [ "$name" = armhf ]; then ARCH=arm7; fi
	for package in ctkeeper exporter; do
		program=ctkeeper
		if [ $package = exporter ]; then program=ctkeeper-exporter; fi
		TREE=$work/$package/$name
		make -s "install-$package" BIN="$binaries" DESTDIR="$TREE" PREFIX=/usr
		"$work/metadata" copyright "$binaries/$program" > "$TREE/copyright"
		find "$TREE" "$work/scripts" "$work/changelog.yaml" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
		for format in $formats; do
			case " ${FORMATS:-$formats} " in
			*" $format "*) "$work/nfpm" package -f "packaging/$package.nfpm.yaml" -p "$format" -t dist/ ;;
			esac
		done
		"$work/cyclonedx-gomod" bin -json -std -noserial -notimestamp -version "v$VERSION" \
			-output "dist/${program}_${VERSION}_$name.cdx.json" "$binaries/$program"
	done
done
(cd dist && sha256sum ctkeeper* > SHA256SUMS)
