# What packages.sh and image.sh share; they source it. The same commit makes the same bytes: every time is that of the
# commit, and no path or name of this machine is in a file.
set -euo pipefail
cd "$(dirname "$0")/.."
umask 022
export LC_ALL=C TZ=UTC
export SOURCE_DATE_EPOCH

released=$(sed -n 's/^## \[[0-9].*\] - //p' CHANGELOG.md | head -n 1)
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct 2>/dev/null || date -d "$released" +%s)
# The tools' own bytes are in the SBOM.
build_tool=("$GO" build -trimpath -buildvcs=false)

# Debian's name of an architecture, and Go's.
declare -A golang=([amd64]=amd64 [arm64]=arm64 [armhf]="arm GOARM=7" [riscv64]=riscv64 [s390x]=s390x [ppc64el]=ppc64le)

# build_programs ARCHITECTURE DIR
build_programs() {
	env GOARCH=${golang[$1]} CGO_ENABLED=0 "$GO" build -buildvcs=auto -trimpath \
		-ldflags "-s -w -X main.version=$VERSION" -o "$2/" ./cmd/...
}

# build_tools DIR PACKAGE...: programs of tools.mod, for this machine.
build_tools() {
	CGO_ENABLED=0 "${build_tool[@]}" -modfile=packaging/tools.mod -o "$1/" "${@:2}"
}

# write_sbom DIR PROGRAM FILE: by the cyclonedx-gomod that build_tools built into DIR.
write_sbom() {
	"$1/cyclonedx-gomod" bin -json -std -noserial -notimestamp -version "v$VERSION" -output "$3" "$2"
}
