# variants: passt tap
# `minivmm run --net`: what the command in the guest has of a network, and what is out of its reach.
#
#   this namespace: the host    v0 10.9.0.1 --- v1 10.9.0.2    outside: crr's server, an echo, a resolver
job()
{
	${root:+chroot "$root"} "$MINIVMM" run --root / --kernel "$VMLINUX" --mem 256M --timeout 300s --share "$TMP/job:/job" "$@"
}

passt_runs()
{
	cat /proc/[0-9]*/comm 2>/dev/null | grep -q '^passt'
}

root=
mkdir "$TMP/job"
cp "$TOOLS/crr" "$TMP/job"
case $VARIANT in
passt)
	background unshare --net sleep 100000
	namespace=$!
	until [ "$(readlink /proc/$namespace/ns/net)" != "$(readlink /proc/$$/ns/net)" ]; do sleep 0.1; done
	ip link add v0 type veth peer name v1 netns $namespace
	nsenter --net=/proc/$namespace/ns/net sh -c 'ip addr add 10.9.0.2/24 dev v1; ip link set v1 up'
	ip addr add 10.9.0.1/24 dev v0
	ip link set v0 up
	ip route add default via 10.9.0.2
	background nsenter --net=/proc/$namespace/ns/net crr server
	background nsenter --net=/proc/$namespace/ns/net busybox nc -l -p 7 -e cat
	background nsenter --net=/proc/$namespace/ns/net resolver 10.9.0.2 10.9.0.2
	# Whoever serves this host's loopback, and its other addresses, gets nothing from the guest.
	background crr server
	await 'the server outside' crr client 10.9.0.2 --test crr --count 1
	await "this host's server" crr client 127.0.0.1 --test crr --count 1
	printf 'nameserver 10.9.0.2\nsearch corp.test\noptions edns0\n' >"$TMP/resolv.conf"
	touch /etc/resolv.conf
	mount --bind "$TMP/resolv.conf" /etc/resolv.conf
	# passt leaves its root, which the kernel allows of no initial ramfs and in no chroot: this is neither.
	mkdir "$TMP/root"
	mount --rbind / "$TMP/root"
	cd "$TMP/root"
	mount --move . /
	root=.
	cat >"$TMP/job/job" <<-'EOF'
		set -ex
		ip addr show lo | grep -q 'inet 127.0.0.1'
		ip addr show eth0 | grep -q 'inet 10.0.2.15/24'
		ip link show eth0 | grep -q 'mtu 65520'
		ip route | grep -q 'default via 10.0.2.2'
		[ "$(cat /etc/resolv.conf)" = "$(printf 'nameserver 10.0.2.3\nsearch corp.test')" ]
		/job/crr client 10.9.0.2 --test crr --count 50 --timeout 60
		# Echoed, as the passt of Debian 12 does not pass on the end of one direction alone.
		dd if=/dev/urandom of=/tmp/data bs=1M count=4
		bash -c 'exec 8<>/dev/tcp/10.9.0.2/7; cat /tmp/data >&8 & head -c 4194304 <&8 | cmp - /tmp/data'
		nslookup host.test 10.0.2.3 | grep -q 10.9.0.2
		# The host's loopback: by the gateway, and by frames that no good guest sends.
		if /job/crr client 10.0.2.2 --test crr --count 1 --timeout 3; then exit 7; fi
		ip addr del 127.0.0.1/8 dev lo
		echo 1 >/proc/sys/net/ipv4/conf/all/route_localnet
		ip route add 127.0.0.0/8 via 10.0.2.2
		if /job/crr client 127.0.0.1 --test crr --count 1 --timeout 3; then exit 8; fi
	EOF
	status=0
	job --net passt --stats "$TMP/stats" -- /bin/sh /job/job >"$TMP/out" 2>"$TMP/err" || status=$?
	await 'passt is gone' eval '! passt_runs'
	[ "$status" = 0 ] || fail "status $status: $(tail -n 2 "$TMP/err"; tail -n 30 "$TMP/out")"
	grep -q '"net0.tx":{[^}]*"drop_error":[1-9]' "$TMP/stats" || fail 'nothing for the loopback was stopped here'
	grep -q '"drop_bad_header":0' "$TMP/stats" || fail 'the guest asked for an offload'
	[ "$(head -n 1 "$TMP/resolv.conf")" = 'nameserver 10.9.0.2' ] || fail 'the resolver of the host was written to'
	# A share over /etc is not written to either; without --net there is no card.
	mkdir "$TMP/etc"
	job --kernel "$QUICK" --share "$TMP/etc:/etc:rw" --net passt -- /bin/sh -c 'ls /etc' >"$TMP/out" || fail 'with a share at /etc'
	[ ! -s "$TMP/out" ] && [ ! "$(ls "$TMP/etc")" ] || fail 'the share at /etc was written to'
	# minivmm is killed: passt ends as its socket does.
	mkfifo "$TMP/started"
	background sh -c 'exec "$@" >"$0"' "$TMP/started" chroot "$root" "$MINIVMM" run --root / --kernel "$QUICK" --mem 256M --net passt -- \
		/bin/sh -c 'ip addr show lo | grep -q 127.0.0.1 && echo started; sleep 1000'
	vmm=$!
	read -r word <"$TMP/started"
	[ "$word" = started ] || fail "it said '$word'"
	passt_runs
	kill -KILL $vmm
	wait $vmm || :
	await 'passt is gone' eval '! passt_runs'
	;;
tap)
	tap 1
	background crr server
	await 'the server' crr client 10.0.1.1 --test crr --count 1
	cat >"$TMP/job/job" <<-'EOF'
		set -ex
		ip addr show eth0 | grep -q 'inet 10.0.1.2/24'
		ip route | grep -q 'default via 10.0.1.1'
		[ "$(cat /etc/resolv.conf)" = 'nameserver 10.0.1.1' ]
		/job/crr client 10.0.1.1 --test crr --count 50 --timeout 60
		/job/crr client 10.0.1.1 --test stream --count 8M --timeout 60
	EOF
	job --net tap1,ip=10.0.1.2/24,gw=10.0.1.1,dns=10.0.1.1 -- /bin/sh /job/job 2>"$TMP/err" ||
		fail "with addresses: $(tail -n 4 "$TMP/err" | tr '\n' ';')"
	# Without any: up, and what the command makes of it.
	job --kernel "$QUICK" --net tap1 -- /bin/sh -ec 'ip link show eth0 | grep -q ,UP; [ ! "$(ip -4 addr show eth0)" ]
		ip addr add 10.0.1.2/24 dev eth0; /job/crr client 10.0.1.1 --test crr --count 5 --timeout 60' 2>"$TMP/err" ||
		fail "without addresses: $(tail -n 4 "$TMP/err" | tr '\n' ';')"
	# Without a network. In a root whose links lead nowhere there is what every program counts on.
	mkdir -p "$TMP/bare/bin"
	for name in busybox sh ls ip grep cat; do cp /bin/busybox "$TMP/bare/bin/$name"; done
	for name in tmp run dev etc; do ln -s "private/$name" "$TMP/bare/$name"; done
	job --kernel "$QUICK" --root "$TMP/bare" -- /bin/sh -ec '[ "$(ls /sys/class/net)" = lo ]; ip addr show lo | grep -q 127.0.0.1
		[ "$(cat /proc/sys/net/ipv4/ping_group_range)" = "$(printf "0\t2147483647")" ] # all may ping
		echo x >/tmp/x; echo x >/run/x; echo x >/dev/null; grep -q localhost /etc/hosts' 2>"$TMP/err" || fail "without a network: $(tail -n 4 "$TMP/err" | tr '\n' ';')"
	;;
esac
