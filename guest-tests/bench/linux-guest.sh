#!/bin/sh
# The guest's part of compare (busybox sh, run by guests/linux/init as case=/put/linux-guest.sh): address, knobs and server.
# The knobs are words of its command line, which come as variables; one that cannot be had ends the guest, and says so.
#
#   backlog=N      of the listening sockets (net.core.somaxconn and net.ipv4.tcp_max_syn_backlog; 65535)
#   syncookies=N   net.ipv4.tcp_syncookies
#   rps=1, rfs=1   receive packet steering to all CPUs, receive flow steering
#   conntrack=1    connection tracking of all that comes in
echo "bench-guest: up"
set -e
ip addr add 10.0.1.2/24 dev eth0
ip link set eth0 up
echo "${backlog:-65535}" >/proc/sys/net/core/somaxconn
echo "${backlog:-65535}" >/proc/sys/net/ipv4/tcp_max_syn_backlog
[ -z "$syncookies" ] || echo "$syncookies" >/proc/sys/net/ipv4/tcp_syncookies
for queue in /sys/class/net/eth0/queues/rx-*; do
	[ -z "$rps$rfs" ] || printf '%x\n' $(((1 << $(nproc)) - 1)) >$queue/rps_cpus
	[ -z "$rfs" ] || echo 4096 >$queue/rps_flow_cnt
done
[ -z "$rfs" ] || echo 32768 >/proc/sys/net/core/rps_sock_flow_entries
# Without a rule that asks for it, tracking begins only where the module is told so.
[ -z "$conntrack" ] || modprobe nf_conntrack enable_hooks=1
exec /put/crr server
