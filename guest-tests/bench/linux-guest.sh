#!/bin/sh
# The guest's part of compare (busybox sh, run by guest-init as case=/put/linux-guest.sh): address and server.
echo "bench-guest: up"
ip addr add 10.0.1.2/24 dev eth0
ip link set eth0 up
echo 65535 >/proc/sys/net/core/somaxconn
echo 65535 >/proc/sys/net/ipv4/tcp_max_syn_backlog
exec /put/crr server
