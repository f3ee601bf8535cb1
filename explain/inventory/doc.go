// Package inventory lists what sets nf_conntrack's values on a host, or could: every line that a
// tool reads, with the order in which the lines are applied. It reads files and nothing else.
//
// A reader (readSysctl, readUdev, readTuned, …) belongs to one tool and adds to the inventory what
// that tool's files say; readers lists them all. The shell scripts of several tools share addScript.
//
// It stands beside event → observe → diff → apply → record: doctor explains with it, and import
// takes the values over.
package inventory
