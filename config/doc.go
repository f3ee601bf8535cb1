// Package config turns files into the desired state: it finds the main file and
// the drop-ins (hiding, masking), decodes them strictly with the position of
// every value, merges, sizes what is "auto" from the host's memory, and
// validates the whole. It also watches those files and says when to look again.
//
// In event → observe → diff → apply → record it is the side that says what
// should be; it never touches the kernel's settings and knows nothing of the
// live ones. A configuration is either valid whole or refused whole, with every
// error at once.
package config
