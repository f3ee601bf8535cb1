// Package firewall reads the rules of a host's firewall for what they ask of the
// connection tracker: which conntrack helpers are attached to which flows, and which rules
// need which modules. It reads the files that are loaded at boot and, on the running
// system, what iptables-save(8) and nft(8) print, and only where the kernel has
// their tables already: it loads no module.
//
// It stands beside event → observe → diff → apply → record: helpers are what fills
// the expectation table.
package firewall
