#!/usr/bin/env bash
# Makes the container image as an OCI layout in dist/image, for `make image`. It prints the digest of the index.
source "$(dirname "$0")/programs.sh"

work=dist/work-image
rm -rf "$work"
build_tools "$work" github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod
for name in amd64 arm64; do
	build_programs "$name" "$work/$name"
	for program in ctkeeper ctkeeper-exporter; do
		write_sbom "$work" "$work/$name/$program" "$work/$name/$program.cdx.json"
	done
done
"$GO" -C packaging/image run . -version "$VERSION" -revision "$(git rev-parse HEAD 2>/dev/null || true)" \
	-created "$SOURCE_DATE_EPOCH" -programs "$PWD/$work" "$PWD/dist/image"
