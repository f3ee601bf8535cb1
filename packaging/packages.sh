#!/usr/bin/env bash
# Makes the packages, an SBOM of each program and SHA256SUMS in dist/, for `make packages`.
# ARCHES and FORMATS limit it: make packages ARCHES=amd64 FORMATS=deb
source "$(dirname "$0")/programs.sh"
export VERSION ARCH TREE

work=dist/work
# `apt install ./dist/ctkeeper_*.deb` finds one version.
rm -rf "$work" dist/ctkeeper[-_]*
mkdir -p "$work"
build_tools "$work" github.com/goreleaser/nfpm/v2/cmd/nfpm github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod
"${build_tool[@]}" -o "$work/" ./packaging/metadata

cp -r packaging/scripts "$work/scripts"
"$work/metadata" changelog "$VERSION-1" > "$work/changelog.yaml"

for name in ${ARCHES:-amd64 arm64 armhf riscv64 s390x ppc64el}; do
	binaries=$work/bin/$name
	build_programs "$name" "$binaries"
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
		write_sbom "$work" "$binaries/$program" "dist/${program}_${VERSION}_$name.cdx.json"
	done
done
(cd dist && sha256sum ctkeeper* > SHA256SUMS)
