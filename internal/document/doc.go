// Package document reads the Markdown documents of this repository and runs the commands in them, so that a test can
// compare what the documents show with what the commands print.
//
// A fenced block with the info string console has commands and their outputs. A line that begins with "$ " is a
// command; it goes on after a backslash at the end of its line, and to the end of its here-document. The lines up to
// the next command are its output, standard output and standard error in one. A line "…" stands for any lines, a "…"
// within a line for any text. Times, process ids, durations and versions are made equal before they are compared.
//
// HTML comments steer this:
//
//	<!-- host: vm -->          once, at the top: where the commands run (vm, native, tree or node)
//	<!-- hidden: COMMAND -->   runs a command before the next block; it must succeed
//	<!-- file: PATH -->        writes the next block to a file
//	<!-- not run: REASON -->   the next block is shown but not run
package document
