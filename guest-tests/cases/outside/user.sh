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
user_model_poll() { cannot "are of model=virtio" --kernel x --net tap0,model=rtl8139c,poll=10; }
user_model_queue_size() { cannot "are of model=virtio" --kernel x --net tap0,model=rtl8139,queue-size=512; }
user_model_queues() { cannot "are of model=virtio" --kernel x --net tap0,model=rtl8139,queues=2; }
user_unknown_key() { cannot "unknown key in --net 'transpart' (the nearest is 'transport'" --kernel x --net tap0,transpart=pci; }
user_bad_memory() { cannot "bad value '15M' for mem" --kernel x --mem 15M && cannot "'-1'" --kernel x --mem -1 && cannot "'99999999999999999999'" --kernel x --mem 99999999999999999999; }
user_bad_cpus() { cannot "bad value '0' for cpus" --kernel x --cpus 0 && cannot "bad value '1x'" --kernel x --cpus 1x; }
user_bad_timeout() { cannot "bad value '30' for timeout" --kernel x --timeout 30; }
user_bad_mac() { cannot "a unicast address" --kernel x --net tap0,mac=01:00:00:00:00:00 && cannot "bad value '52:54'" --kernel x --net tap0,mac=52:54; }
user_same_tap_twice() { cannot 'already belongs to another --net' --kernel x --net tap0 --net tap=tap0; }
user_switches_that_contradict() { cannot 'tso=on contradicts csum=off' --kernel x --net tap0,csum=off,tso && cannot 'csum=on contradicts offload=off' --kernel x --net tap0,csum=on,offload=off; }
user_bad_switch() { cannot "bad value 'of' for event-idx" --kernel x --net tap0,event-idx=of; }
user_long_tap_name() { cannot 'at most 15 characters' --kernel x --net abcdefghijklmnopq; }
user_fd_is_no_tap() { cannot 'fd=0 is not an open tap' --kernel "$small" --net fd=0; }
user_no_such_socket() { cannot "cannot connect to socket '$tmp/none': No such file" --kernel "$small" --net socket="$tmp/none"; }
user_stream_is_none() { cannot 'stream=0 is not a connected stream socket' --kernel "$small" --net stream=0 && cannot 'stream=7 is not' --kernel "$small" --net stream=7 && cannot 'give a tap' --kernel "$small" --net stream=7,socket=/x; }
user_same_stream_twice() { cannot 'already belongs to another --net' --kernel x --net stream=5 --net stream=5; }
user_no_kvm()
{
	minivmm=$tmp/no-kvm
	printf '#!/bin/sh\nexec unshare -m sh -c "mount -t tmpfs none /dev && exec \\"\\$0\\" \\"\\$@\\"" "%s" "$@"\n' "$real" >"$minivmm"
	chmod +x "$minivmm"
	cannot '/dev/kvm: No such file or directory (the host has no KVM' --kernel "$small"
}
user_kvm_forbidden()
{
	setpriv --reuid 65534 true 2>/dev/null || skip 'no right to become another user'
	minivmm=$tmp/forbidden
	# On a node of its own, as this machine's may be open to all.
	printf '#!/bin/sh\nexec unshare -m sh -c "mount -t tmpfs none /dev && : >/dev/kvm && chmod 600 /dev/kvm && exec setpriv --reuid 65534 --clear-groups \\"\\$0\\" \\"\\$@\\"" "%s" "$@"\n' "$tmp/minivmm" >"$minivmm"
	chmod +x "$minivmm"
	chmod 755 "$tmp" && cp "$real" "$small" "$tmp"
	cannot '/dev/kvm: Permission denied (join the group of the node' --kernel "$tmp/small.elf"
}
user_missing_value() { cannot 'needs a value' --kernel; }
user_stray_argument() { cannot "unexpected argument 'x'" x; }
user_no_such_disk() { cannot "'$tmp/none'" --kernel "$small" --disk "$tmp/none"; }
user_no_such_config() { cannot "'$tmp/none'" --config "$tmp/none"; }
user_bad_config_line() { echo 'mem = much' >"$tmp/conf"; vmm 125 --config "$tmp/conf" && says "in line 1 of configuration file '$tmp/conf'" 2; }
user_stats_not_writable() { cannot "'/proc/none'" --kernel "$small" --stats /proc/none; }
user_memory_too_large() { (ulimit -v 2000000; cannot 'cannot reserve' --kernel "$small" --mem 1000G); }
user_help() { vmm 0 --help && grep -q -- '--kernel FILE' "$tmp/out" && [ "$(wc -l <"$tmp/out")" -le 80 ] && [ "$(wc -L <"$tmp/out")" -le 100 ]; }
user_version() { vmm 0 --version && grep -q '^minivmm ' "$tmp/out"; }
