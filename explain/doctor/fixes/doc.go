// Package fixes builds the steps that fix a finding on the host of a picture: edits of configuration files,
// drop-ins for ctkeeper, commands. It runs nothing.
package fixes
