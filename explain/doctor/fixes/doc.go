// Package fixes builds the shell commands that fix a finding on the host of a picture: edits of
// configuration files, drop-ins for ctkeeper, kernel arguments. It runs nothing.
package fixes
