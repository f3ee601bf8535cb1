// Package change holds the steps of a repair as data: commands, edits of lines, files to write. It renders
// them for a shell and for patch(1), and runs nothing.
package change
