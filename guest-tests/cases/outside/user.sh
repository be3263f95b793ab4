# What users get wrong: one line a case.

user_no_kernel_option() { cannot 'no kernel given'; }
user_no_such_kernel() { cannot "'$tmp/none'" --kernel "$tmp/none"; }
user_kernel_is_directory() { cannot "'$tmp'" --kernel "$tmp"; }
user_kernel_is_text() { echo hello >"$tmp/text"; cannot "'$tmp/text'" --kernel "$tmp/text"; }
user_kernel_is_empty() { : >"$tmp/empty"; cannot "'$tmp/empty'" --kernel "$tmp/empty"; }
user_kernel_truncated() { head -c 300 "$small" >"$tmp/cut"; cannot "'$tmp/cut'" --kernel "$tmp/cut"; }
user_no_such_initrd() { cannot "'$tmp/none'" --kernel "$small" --initrd "$tmp/none"; }
user_initrd_too_large() { truncate -s 64M "$tmp/initrd"; cannot "'$tmp/initrd'" --kernel "$small" --initrd "$tmp/initrd" --mem 16M; }
user_unknown_option() { cannot "unknown option 'kernal' (the nearest is 'kernel'" --kernal x; }
user_unknown_model() { cannot "bad value 'rtl8239' for model" --kernel x --net tap0,model=rtl8239; }
user_model_transport() { cannot "are of model=virtio" --kernel x --net tap0,model=rtl8139,transport=mmio; }
user_model_impatient() { cannot "are of model=virtio" --kernel x --net tap0,model=rtl8139,impatient; }
user_model_poll() { cannot "are of model=virtio" --kernel x --net tap0,model=rtl8139c,poll=10; }
user_model_queue_size() { cannot "are of model=virtio" --kernel x --net tap0,model=rtl8139,queue-size=512; }
user_model_queues() { cannot "are of model=virtio" --kernel x --net tap0,model=rtl8139,queues=2; }
user_model_switches()
{
	local key
	for key in mrg=off mergeable=on event-idx=off indirect=off; do
		cannot "are of model=virtio" --kernel x --net "tap0,model=rtl8139,$key" || return 1
	done
	cannot "'x'" --kernel x --net tap0,model=rtl8139,offload=off
}
user_model_vhost() { cannot "vhost= and queue-size= are of model=virtio" --kernel x --net tap0,model=rtl8139,vhost=auto; }
user_vhost_word() { cannot "bad value 'yes' for vhost" --kernel x --net tap0,vhost=yes && cannot "bad value '3:3' for vhost-fd" --kernel x --net tap0,vhost-fd=3:3; }
user_vhost_off_with_descriptor() { cannot 'vhost-fd= contradicts vhost=off' --kernel x --net tap0,vhost=off,vhost-fd=3; }
user_vhost_is_none() { cannot 'vhost-fd=0 is not an open /dev/vhost-net' --kernel "$small" --net v0,vhost-fd=0 && cannot 'vhost-fd=77 is not' --kernel "$small" --net v0,vhost-fd=77; }
# A number that is one of our own descriptors by then: not taken for the user's, nor closed, whatever hangs on it.
user_descriptor_of_ours()
{
	local fd what
	for fd in 3 4 5 6 7 8 9 10 11 12; do
		for what in "--kvm fd=" "--disk ro,fd=" "--net stream=" "--net fd=" "--net v0,vhost-fd="; do
			what=$what$fd
			cannot "${what##*[ ,]}" --kernel "$small" --timeout 10s --stats "$tmp/stats" ${what%% *} "${what#* }" || return 1
		done
	done
}
user_vhost_mmio()
{
	cannot '(transport=pci)' --kernel "$small" --net v0,vhost=on,transport=mmio &&
		cannot '(transport=pci)' --kernel "$small" --transport mmio --net v0,vhost=on
}
user_vhost_without()
{
	cannot '(leave out packed)' --kernel "$small" --net v0,vhost=on,packed &&
		cannot '(tcpdump -i' --kernel "$small" --net v0,vhost=on,pcap="$tmp/x.pcap" &&
		cannot '(without mrg=off' --kernel "$small" --net v0,vhost=on,mrg=off || return
	[ ! -e "$tmp/x.pcap" ]
}
# Where this host has none it does without, and says why, in a line and in the accounts.
guest_vhost_auto()
{
	guest 42 s --net v0,vhost=auto --stats "$tmp/stats" || return
	if [ -w /dev/vhost-net ]; then
		grep -q '"net0.vhost":{.*"given":0' "$tmp/stats" && [ ! -s "$tmp/err" ]
	else
		grep -q '"net0.vhost":{"off_refused":1}' "$tmp/stats" && says 'vhost=auto: its own thread moves its frames: cannot open /dev/vhost-net: '
	fi
}
user_vhost_no_node()
{
	unshare -m sh -c 'mkdir -p /run/d/net && mount -t tmpfs d /run/d && mkdir /run/d/net && touch /run/d/kvm /run/d/net/tun &&
		mount --bind /dev/kvm /run/d/kvm && mount --bind /dev/net/tun /run/d/net/tun && mount --move /run/d /dev && exec "$@"' - \
		"$minivmm" --kernel "$small" --net v0,vhost=on >"$tmp/out" 2>"$tmp/err" </dev/null
	[ $? = 125 ] && grep -q 'vhost=on: cannot open /dev/vhost-net: No such file or directory (load the module: sudo modprobe vhost_net)$' "$tmp/err"
}
user_unknown_key() { cannot "unknown key in --net 'transpart' (the nearest is 'transport'" --kernel x --net tap0,transpart=pci; }
user_bad_memory() { cannot "bad value '15M' for mem" --kernel x --mem 15M && cannot "'-1'" --kernel x --mem -1 && cannot "'99999999999999999999'" --kernel x --mem 99999999999999999999; }
user_bad_cpus() { cannot "bad value '0' for cpus" --kernel x --cpus 0 && cannot "bad value '1x'" --kernel x --cpus 1x; }
user_bad_timeout() { cannot "bad value '30' for timeout" --kernel x --timeout 30; }
# What is taken works; what is not is told with the bounds, and with their reason where that is not plain.
user_ranges()
{
	local option values wanted value name
	while IFS='|' read -r option values wanted; do
		name=${option##*[ ,-]}
		[[ $option != *queue-size= ]] || name=queue-size=
		for value in $values; do
			cannot "bad value '$value' for ${name%=}: expected $wanted" --kernel x $option$value || return
		done
	done <<-'EOF'
		--mem=|0 15M 16777217 1025G 1.5G 17179869184G 18446744073709551616|a size from 16M to 1024G, in whole pages of 4K
		--cpus=|0 4097 1x 4294967297 -1|a number from 1 to 4096 (as many as KVM has, this host's perhaps fewer)
		--timeout=|0s 30 366d 8761h 525601m 9999999999999999999s -1s|a time from 1ms to 8760h, such as 500ms, 30s or 5m
		--console=x,max=|0 99999999999G -1|a size above 0, such as 64M
		--console=|-|a file (./- is one of that name)
		--net tap0,pcap=|-|a file (./- is one of that name)
		--net tap0,queue-size=|0 8 16 33 100 2048 -32 32K|a power of two from 32 to 1024 (Linux sends frames of up to 19 buffers)
		--net tap0,mtu=|0 67 65522 65535 4294967364|a number from 68 to 65521 (as a tap takes)
		--net tap0,queues=|0 9 257|a number from 1 to 8
		--net tap0,poll=|1000001 -1 1e3|a number from 0 to 1000000 (a second)
		--disk fd=|-1 1048577 99999999999 4294967299|a number from 0 to 1048576
		--fs /tmp,tag=|0123456789012345678901234567890123456|at most 36 bytes
		--fs /tmp --fs /tmp,tag=|fs0|one that no other --fs has
		--fs /tmp,tag=fs1 --fs=/tmp,tag=|fs1|one that no other --fs has
	EOF
	# A tag that the user gave is that of a later one which has none.
	cannot "bad value 'fs1' for tag: expected one that no other" --kernel x --fs /tmp,tag=fs1 --fs /tmp &&
		guest 42 s --fs "/tmp,tag=012345678901234567890123456789012345" --mem 16388K
}
guest_largest()
{
	local max
	guest 42 s --mem 1024G --timeout 1000000ms && guest 42 s --mem 16M --timeout 8760h || return 1
	vmm 125 --kernel "$small" --append s --cpus 4096
	max=$(sed -n "s/.*offers at most \([0-9]*\) vCPUs.*/\1/p" "$tmp/err")
	[ ! "$max" ] || guest 42 s --cpus "$max" --mem 64M
}
user_run_ranges()
{
	local value
	for value in -1 4294967295 99999999999 1000: 1:2:3 ' 1' '' a; do
		vmm 125 run --root / --user "$value" -- true && says "bad value '$value' for user: expected numbers" || return
	done
	for value in =x ''; do
		vmm 125 run --root / --env "$value" -- true && says "bad value '$value' for env" || return
	done
	vmm 125 run --root / --cwd x -- true && says 'an absolute path' && vmm 125 run --root / --mem 63M -- true && says 'a size from 64M'
}
user_bad_mac() { cannot "a unicast address" --kernel x --net tap0,mac=01:00:00:00:00:00 && cannot "bad value '52:54'" --kernel x --net tap0,mac=52:54; }
user_same_tap_twice() { cannot 'already belongs to another --net' --kernel x --net tap0 --net tap=tap0; }
user_switches_that_contradict() { cannot 'tso=on contradicts csum=off' --kernel x --net tap0,csum=off,tso && cannot 'csum=on contradicts offload=off' --kernel x --net tap0,csum=on,offload=off; }
user_bad_switch() { cannot "bad value 'of' for event-idx" --kernel x --net tap0,event-idx=of; }
user_long_tap_name() { cannot 'at most 15 characters' --kernel x --net abcdefghijklmnopq; }
user_bad_queues() { cannot "bad value '0' for queues" --kernel x --net tap0,queues=0 && cannot "bad value '9' for queues" --kernel x --net tap0,queues=9; }
user_bad_descriptors() { cannot "bad value '3:' for fd" --kernel x --net fd=3: && cannot "bad value '3:3' for fd" --kernel x --net fd=3:3; }
user_bad_pin() { cannot "bad value 'vcpu0' for pin" --kernel x --pin vcpu0 && cannot "bad value 'vcpu0=1-' for pin" --kernel x --pin vcpu0=1- &&
	cannot "(there are: fs0.0 fs0.1 fs0.2 fs0.3 fs0.4 vcpu0 main)" --kernel "$small" --fs /tmp --pin fs1=0; }
user_fd_is_no_tap() { cannot 'fd=0 is not an open tap' --kernel "$small" --net fd=0; }
user_no_such_socket() { cannot "cannot connect to socket '$tmp/none': No such file" --kernel "$small" --net socket="$tmp/none"; }
user_stream_is_none() { cannot 'stream=0 is not a connected stream socket' --kernel "$small" --net stream=0 && cannot 'stream=7 is not' --kernel "$small" --net stream=7 && cannot 'give a tap' --kernel "$small" --net stream=7,socket=/x; }
user_host_loopback_of_no_stream() { cannot 'stream=N, with or without host-loopback=' --kernel x --net tap0,host-loopback=off && cannot 'give a tap' --kernel x --net host-loopback=off; }
user_same_stream_twice() { cannot 'already belongs to another --net' --kernel x --net stream=5 --net stream=5; }
user_bad_owner() { cannot "bad value 'me' for owner" --kernel x --fs /tmp,owner=me && cannot "bad value '1:' for owner" --kernel x --fs /tmp,owner=1: && cannot "bad value '4294967295' for owner" --kernel x --fs /tmp,owner=4294967295; }
# As many as anybody wants where nothing is held for them; more shares than the machine has devices are told of as such.
user_run_many()
{
	local i env=() shares=()
	for ((i = 0; i < 400; i++)); do env+=(--env "A$i=1"); done
	for ((i = 0; i < 15; i++)); do shares+=(--share "/tmp:/s$i"); done
	local run=(run --root / --kernel "$small" "${env[@]}" "${shares[@]}")
	vmm 125 "${run[@]}" -- x && says 'does not say which release it is' && vmm 125 "${run[@]}" --out "$tmp/o" -- x &&
		says 'cannot share 16 directories: at most 15, of which --out is one' && [ ! -e "$tmp/o" ]
}
user_no_kvm()
{
	minivmm=$tmp/no-kvm
	printf '#!/bin/sh\nexec unshare -m sh -c "mount -t tmpfs none /dev && exec \\"\\$0\\" \\"\\$@\\"" "%s" "$@"\n' "$real" >"$minivmm"
	chmod +x "$minivmm"
	cannot '/dev/kvm: No such file or directory (the host has no KVM' --kernel "$small"
}
user_kvm_is_none()
{
	minivmm=$tmp/no-kvm
	printf '#!/bin/sh\nexec unshare -m sh -c "mount --bind /dev/null /dev/kvm && exec \\"\\$0\\" \\"\\$@\\"" "%s" "$@"\n' "$real" >"$minivmm"
	chmod +x "$minivmm"
	[ -e /dev/kvm ] || skip 'no /dev/kvm to stand in for'
	cannot '/dev/kvm is no KVM: KVM_GET_API_VERSION: Inappropriate ioctl' --kernel "$small"
}
user_kvm_forbidden()
{
	setpriv --reuid 65534 true 2>/dev/null || skip 'no right to become another user'
	minivmm=$tmp/forbidden
	# On a node of its own, as this machine's may be open to all.
	printf '#!/bin/sh\nexec unshare -m sh -c "mount -t tmpfs none /dev && : >/dev/kvm && chmod $MODE /dev/kvm && chgrp 5 /dev/kvm && exec setpriv --reuid 65534 --clear-groups \\"\\$0\\" \\"\\$@\\"" "%s" "$@"\n' "$tmp/minivmm" >"$minivmm"
	chmod +x "$minivmm"
	chmod 755 "$tmp" && cp "$real" "$small" "$tmp"
	MODE=660 cannot '/dev/kvm: Permission denied (join the group of the node: sudo usermod -aG $(stat -c %G /dev/kvm) $USER' --kernel "$tmp/small.elf" &&
		MODE=600 cannot '/dev/kvm: Permission denied (its node is not yours to open: sudo chmod 0666 /dev/kvm)' --kernel "$tmp/small.elf"
}
# Whoever may not make or change a tap is told what root is to do for him, and goes by what root has done.
user_taps_of_another()
{
	setpriv --reuid 65534 true 2>/dev/null && [ -w /dev/net/tun ] && kvm_usable && ip link add denied type bridge && ip link set denied up || skip 'no right to become another user, no tap or no bridge'
	minivmm=$tmp/denied
	printf '#!/bin/sh\nexec unshare -m sh -c "mount -t tmpfs none /dev && mkdir /dev/net && mknod -m 666 /dev/kvm c 10 232 && mknod -m 666 /dev/net/tun c 10 200 && exec setpriv --reuid 65534 --clear-groups \\"\\$0\\" \\"\\$@\\"" "%s" "$@"\n' "$tmp/minivmm" >"$minivmm"
	chmod +x "$minivmm"
	chmod 755 "$tmp" && cp "$real" "$small" "$tmp" && small=$tmp/small.elf
	ip tuntap add his mode tap user 1 && ip tuntap add mine mode tap user 65534 && ip link set mine mtu 9000 || return
	cannot '(sudo ip link set mine master denied)' --kernel "$small" --net tap=mine,bridge=denied,mtu=9000 &&
		ip link set mine master denied up && guest 42 s --net tap=mine,bridge=denied,mtu=9000 && [ ! -s "$tmp/err" ] &&
		cannot '(sudo ip link set mine mtu 1400)' --kernel "$small" --net mine,mtu=1400 &&
		cannot 'sudo ip link del his; sudo ip tuntap add his mode' --kernel "$small" --net his &&
		cannot '(create it for your user: sudo ip tuntap add nobodys mode' --kernel "$small" --net nobodys &&
		cannot 'ip link set NAME master BRIDGE up; and --net NAME)' --kernel "$small" --net bridge=denied
	local status=$?
	ip link del denied; ip link del his; ip link del mine
	return $status
}
# A container that has not been given a node: EPERM, whatever its rights.
user_nodes_not_given()
{
	command -v strace >/dev/null || skip 'no strace'
	minivmm=$tmp/not_given
	printf '#!/bin/sh\nexec strace -f -o /dev/null -P "$NODE" -e inject=openat:error=EPERM "%s" "$@"\n' "$real" >"$minivmm"
	chmod +x "$minivmm"
	not_given /dev/kvm || return
	[ -w /dev/net/tun ] && kvm_usable || skip 'taps are not ours to make'
	not_given /dev/net/tun --net given0 && not_given /dev/vhost-net --net given0,vhost=on
}
not_given() # not_given NODE ARG...
{
	export NODE=$1
	shift
	local why="$NODE: Operation not permitted (a container has to be given it: docker run --device $NODE)"
	"$minivmm" doctor "$@" >"$tmp/doctor" 2>&1
	grep -qF "$why" "$tmp/doctor" || { cat "$tmp/doctor"; return 1; }
	cannot "$why" --kernel "$small" "$@"
}
# A container's filter refuses calls that all else rests on: said at once, not by a guest that finds nothing.
user_forbidden_calls()
{
	local error
	command -v strace >/dev/null && kvm_usable || skip 'no strace, or no /dev/kvm'
	minivmm=$tmp/filtered
	printf '#!/bin/sh\nexec strace -f -o /dev/null -e inject=$CALL:error=$ERROR "%s" "$@"\n' "$real" >"$minivmm"
	chmod +x "$minivmm"
	for error in ENOSYS EPERM; do
		export ERROR=$error
		CALL=openat2 cannot "cannot share directory '/usr': openat2: " --kernel "$small" --mem 16M --fs /usr,ro &&
			CALL=getrandom cannot 'cannot create rng0: getrandom: ' --kernel "$small" --mem 16M --rng || return
	done
}
user_missing_value() { cannot 'needs a value' --kernel; }
user_stray_argument() { cannot "unexpected argument 'x'" x; }
user_no_such_disk() { cannot "'$tmp/none'" --kernel "$small" --disk "$tmp/none"; }
user_no_such_config() { cannot "'$tmp/none'" --config "$tmp/none"; }
user_bad_config_line() { echo 'mem = much' >"$tmp/conf"; vmm 125 --config "$tmp/conf" && says "in line 1 of configuration file '$tmp/conf'"; }
user_stats_not_writable() { cannot "'/proc/none'" --kernel "$small" --stats /proc/none; }
user_memory_too_large() { (ulimit -v 2000000; cannot 'cannot reserve' --kernel "$small" --mem 1000G); }
user_help() { vmm 0 --help && grep -q -- '--kernel FILE' "$tmp/out" && [ "$(wc -l <"$tmp/out")" -le 100 ] && [ "$(wc -L <"$tmp/out")" -le 100 ]; }
user_version() { vmm 0 --version && grep -q '^minivmm ' "$tmp/out"; }
