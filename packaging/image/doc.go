// Command image writes the container image of a version as an OCI layout: one index with an image for each
// architecture and, for each image, the SBOMs of its programs. `make image` runs it.
//
//	image -version V -revision COMMIT -created SECONDS -programs DIR LAYOUT
//
// DIR has a directory for each architecture, with ctkeeper and ctkeeper-exporter and an SBOM of each (NAME.cdx.json).
// An image has these two programs and nothing else. The same programs and flags make the same digest.
//
// The SBOMs of an image are a manifest whose subject is the image, which is how `oras discover` and the referrers API
// of a registry find it (OCI distribution specification 1.1). It is also in the index, for the platform
// unknown/unknown, so that whatever copies the whole index copies the SBOMs.
//
// This is a Go module of its own, because neither ctkeeper nor its exporter needs the library.
package main
