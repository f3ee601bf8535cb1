// Package firewall finds the firewall rules that use the connection tracker: which conntrack
// helpers they attach to which flows, and which modules they need. It reads the files that are
// loaded at boot. On the running system it also reads the output of iptables-save(8) and nft(8),
// but only for tables that the kernel already has: it never loads a module.
//
// It stands beside event → observe → diff → apply → record: doctor uses it, because helpers fill
// the expectation table.
package firewall
