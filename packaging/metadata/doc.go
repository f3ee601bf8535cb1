// Command metadata prints files of the packages that come from other files: `metadata copyright PROGRAM` the
// licences of everything that is linked into a program, from the module cache, in the format of Debian's copyright
// files; `metadata changelog VERSION` CHANGELOG.md as nfpm reads it. packages.sh calls it.
package main
