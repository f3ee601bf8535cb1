#!/bin/sh
# Makes this host the router between two network namespaces, left (10.81.0.2) and right (10.82.0.2), or removes them.
set -eu

case "$1" in
start)
	for side in left:81 right:82; do
		name=${side%:*} net=10.${side#*:}.0
		ip netns add "$name"
		ip link add "to-$name" type veth peer name eth0 netns "$name"
		ip address add "$net.1/24" dev "to-$name"
		ip link set "to-$name" up
		ip -n "$name" address add "$net.2/24" dev eth0
		ip -n "$name" link set eth0 up
		ip -n "$name" route add default via "$net.1"
	done
	sysctl -q -w net.ipv4.ip_forward=1
	;;
stop)
	for name in left right; do
		ip link delete "to-$name"
		ip netns delete "$name"
	done
	;;
*) exit 2 ;;
esac
