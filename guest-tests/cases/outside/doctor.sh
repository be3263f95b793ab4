# `minivmm doctor`: what it finds is what is there, whoever asks, and its status is the verdict on `run`.

# A kernel that is only a header, with modules built in.
good_kernel()
{
	mkdir -p "$tmp/k/boot" "$tmp/k/lib/modules/0.0-test"
	{ head -c 514 /dev/zero; printf HdrS; head -c 8 /dev/zero; printf '\200\0'; head -c 112 /dev/zero; printf '0.0-test (x) #1'; head -c 200 /dev/zero; } >"$tmp/k/boot/vmlinuz"
	printf 'kernel/%s.ko\n' virtio_pci virtio_mmio virtio_console virtiofs overlay virtio_net >"$tmp/k/lib/modules/0.0-test/modules.builtin"
	set -- --kernel "$tmp/k/boot/vmlinuz"
	timeout 60 "$minivmm" doctor "$@" >"$tmp/out" 2>"$tmp/err" </dev/null
	status=$?
}

# line WORD NAME TEXT: the line on NAME begins with WORD and has TEXT.
line()
{
	grep -E "^$1 +$2 " "$tmp/out" | grep -qF -- "$3" || { why="no '$1 $2 $3' in: $(grep " $2 " "$tmp/out")"; return 1; }
}

user_doctor_lines()
{
	good_kernel
	[ ! -s "$tmp/err" ] && line ok kernel '0.0-test' && line ok virtiofs '' && ! grep -qvE '^(ok  |FAIL|note)  [a-z_]+ +[^ ]' "$tmp/out" &&
		[ $status -eq "$(if grep -q ^FAIL "$tmp/out"; then echo 125; else echo 0; fi)" ]
}
# The odd kind of KVM is found out, by a vCPU and not by the processor's name.
guest_doctor_kind()
{
	good_kernel
	if grep -qwE 'vmx|svm' /proc/cpuinfo; then line ok kvm 'on the processor'; else line FAIL kvm 'no stock kernel runs'; fi
}
user_doctor_without_kvm()
{
	unshare -m sh -c 'mount -t tmpfs none /dev && exec "$@"' - "$minivmm" doctor >"$tmp/out" 2>"$tmp/err" </dev/null
	[ $? -eq 125 ] && line FAIL kvm 'the host has no KVM' && line note tap '(sudo modprobe tun); for --net TAP only'
}
# Some distributions keep kernels to root.
user_doctor_as_nobody()
{
	setpriv --reuid 65534 true 2>/dev/null || skip 'no right to become another user'
	good_kernel
	chmod 755 "$tmp" && cp "$real" "$tmp/minivmm" && chmod 600 "$tmp/k/boot/vmlinuz"
	setpriv --reuid 65534 --regid 65534 --clear-groups "$tmp/minivmm" doctor --kernel "$tmp/k/boot/vmlinuz" >"$tmp/out" 2>"$tmp/err" </dev/null
	[ $? -eq 125 ] && line FAIL kernel "(sudo chmod 0644 '$tmp/k/boot/vmlinuz')" && line note tap '; for --net TAP only'
}
user_doctor_passt()
{
	env PATH=/nonexistent "$minivmm" doctor --net passt >"$tmp/out" 2>"$tmp/err" </dev/null
	[ $? -eq 125 ] && line FAIL passt '(sudo apt-get install passt)' && line FAIL route 'default route'
}
user_doctor_tap()
{
	[ -w /dev/net/tun ] || skip '/dev/net/tun is not ours to open'
	vmm 125 doctor --net tap1 # made and gone again: as run would
	line ok tap tap1 && [ ! -e /sys/class/net/tap1 ] && vmm 125 doctor --net lo && line FAIL tap 'an interface that is no tap' || return
	ip tuntap add tap2 mode tap multi_queue && vmm 125 doctor --net tap2,ip=10.0.0.2/24 && line ok tap tap2 && ip link del tap2
}
user_doctor_words() { cannot "nearest is 'kernel'" doctor --kernal x && cannot "unexpected argument 'x'" doctor x && vmm 0 doctor --help; }
user_doctor_full_output() { timeout 60 "$minivmm" doctor --help >/dev/full 2>"$tmp/err" </dev/null; [ $? -eq 125 ] && says 'No space left'; }
