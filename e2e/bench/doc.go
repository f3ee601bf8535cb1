// Command bench measures a built ctkeeper on the running kernel beside what people would run instead, and prints the
// results as tables and as one line of JSON.
//
// `make bench` runs it in namespaces of this machine, where only timeouts are writable, and in the virtual machine,
// where nf_conntrack can be loaded and unloaded. BENCH has its flags; -only and -cells choose what is measured. This
// measures on this machine, as root, how long a foreign write lasts if writer and keeper run on one processor:
//
//	BENCH="-only drift -cells same -n 200" go test -tags e2e -count=1 -v -run TestHere ./e2e/bench
//
// The cells are same, other (processor), unpinned, and busy (each processor has another program that never sleeps).
// In each the minimal C program (e2e/helpers/bare.c) and ctkeeper are written to in turn. The ratio is that of
// ctkeeper to the C program, over the whole run; in parentheses stand the least and the most of five parts of it.
package main
