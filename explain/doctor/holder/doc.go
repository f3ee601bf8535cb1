// Package holder checks whether a restart of the firewall unloads nf_conntrack, and what keeps it from being unloaded.
package holder
