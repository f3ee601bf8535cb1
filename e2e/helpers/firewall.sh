#!/bin/sh
# Does what an iptables init script does with IPTABLES_MODULES_UNLOAD=yes. "stop" flushes all rules, then unloads the
# connection tracker after the modules that use it. "start" loads rules that need it again.
set -u

unload() {
	users=$(awk -v m="$1" '$1 == m { gsub(",", " ", $4); print $4 }' /proc/modules)
	for user in $users; do
		[ "$user" = - ] || unload "$user" || return 1
	done
	# modprobe may have unloaded it together with the last of its users.
	grep -q "^$1 " /proc/modules || return 0
	modprobe -r "$1"
}

stop() {
	for table in filter nat mangle raw; do
		iptables -t "$table" -F && iptables -t "$table" -X || return 1
	done
	nft flush ruleset || return 1
	unload nf_conntrack
}

start() {
	iptables -A INPUT -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT &&
		iptables -A FORWARD -m conntrack --ctstate INVALID -j DROP &&
		iptables -t nat -A POSTROUTING -o dummy9 -j MASQUERADE
}

case "$1" in
start | stop) "$1" ;;
restart) stop && start ;;
*) exit 2 ;;
esac
