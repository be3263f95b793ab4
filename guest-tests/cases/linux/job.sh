# variants: status stdio files user ends tty kernels
# `minivmm run`: this host's own root, with its kernel and modules where those count, one command in a machine of its own.
kernel=$QUICK
case $VARIANT in
files | user) kernel=$VMLINUX ;;
esac

job()
{
	"$MINIVMM" run --root / --kernel "$kernel" --mem 256M --timeout 300s "$@"
}

# many: arguments of a megabyte in all.
many()
{
	local i
	megabyte=()
	for ((i = 0; i < 1024; i++)); do printf -v "megabyte[$i]" %01023d $i; done
}

# gives STATUS COMMAND...: the job ends so.
gives()
{
	want=$1
	shift
	status=0
	job --junit "$TMP/job.xml" -- "$@" >"$TMP/out" 2>"$TMP/err" || status=$?
	[ "$status" = "$want" ] || fail "status $status, not $want, of: $* ($(tail -n 1 "$TMP/err"))"
}

same()
{
	[ "$(sha256sum <"$1")" = "$(sha256sum <"$2")" ] || fail "$2 is not as $1"
}

case $VARIANT in
status)
	"$MINIVMM" doctor --kernel "$KERNEL" --mem 256M >"$TMP/doctor" || fail "doctor: $(cat "$TMP/doctor")"
	gives 0 /bin/busybox true
	[ ! -s "$TMP/out" ] && [ ! -s "$TMP/err" ] || fail "it said something: $(cat "$TMP/out" "$TMP/err")"
	gives 255 /bin/busybox sh -c 'echo last words; exit 255'
	grep -q '<failure type="255"' "$TMP/job.xml" && grep -q '<system-out>last words' "$TMP/job.xml" || fail "$(cat "$TMP/job.xml")"
	gives 127 /nonexistent
	gives 127 ''
	printf '#!/nonexistent\n' >"$TMP/script"
	chmod 755 "$TMP/script"
	gives 127 "$TMP/script"
	gives 126 /etc
	gives 137 /bin/busybox sh -c 'kill -9 $$'
	# What it leaves running ends with it; the exit-status port is no way to a success.
	gives 3 /bin/busybox sh -c 'busybox yes & exit 3'
	gives 134 "$TOOLS/outb" 0xf4 0
	# More arguments than execve takes there.
	many
	(
		ulimit -s unlimited # or they do not get as far as minivmm
		gives 125 /bin/busybox true "${megabyte[@]}" "${megabyte[@]}" "${megabyte[@]}"
		[ "$(wc -l <"$TMP/err")" = 1 ] && grep -q "'/bin/busybox' in the guest: Argument list too long" "$TMP/err" || fail "$(cat "$TMP/err")"
	)
	# What cannot be is said in one line: a place, a kernel without its modules.
	status=0
	job --cwd /nowhere -- /bin/busybox true 2>"$TMP/err" || status=$?
	[ "$status $(wc -l <"$TMP/err")" = '125 1' ] || fail "no such directory gives $status: $(cat "$TMP/err")"
	kernel=$VMLINUX
	mount -t tmpfs none "$(readlink -f /lib/modules)"
	gives 125 /bin/busybox true
	# A newer kernel has virtio's drivers built in, and lacks another.
	grep -Eq "no virtio drivers|find the kernel's module '(overlay|virtiofs)'" "$TMP/err" || fail "a kernel without modules says: $(cat "$TMP/err")"
	;;
stdio)
	dd if=/dev/urandom of="$TMP/data" bs=1M count=4
	job -- /bin/busybox cat <"$TMP/data" >"$TMP/back"
	same "$TMP/data" "$TMP/back"
	# Apart, exact, in order; arguments and environment as they are, a megabyte of them.
	many
	job --env $'NL=two\nlines' --env EMPTY= -- /bin/busybox sh -c 'printf "%s|" "$NL" "${EMPTY-unset}" "$1" "$2" "$3" "$4"; echo err >&2; shift 4; i=0
		printf "%s\n" "$@" | sha256sum >&2
		while [ $i -lt 2000 ]; do echo $i; i=$((i + 1)); done' - 'a b' '$HOME' '' "it's" "${megabyte[@]}" >"$TMP/out" 2>"$TMP/err"
	[ "$(cat "$TMP/err")" = "err
$(printf '%s\n' "${megabyte[@]}" | sha256sum)" ] || fail "errors: $(cat "$TMP/err")"
	[ "$(head -c 28 "$TMP/out")" = $'two\nlines||a b|$HOME||it\'s|0' ] || fail "arguments: $(head -n 2 "$TMP/out")"
	[ "$(tail -n 1 "$TMP/out")" = 1999 ] || fail 'the last line is not the last'
	# A slow reader gets all of it, and the status is the command's; where its errors are the output, too, in order.
	# Not by the function, as its shell has had words of its own (pop_var_context) there.
	"$MINIVMM" run --root / --kernel "$VMLINUX" --mem 256M --timeout 300s -- /bin/busybox sh -c 'i=0; while [ $i -lt 8000 ]; do echo $i; echo $((i + 1)) >&2; i=$((i + 2)); done; seq 8000 20000; exit 5' 2>&1 |
		(sleep 20; cat >"$TMP/out")
	status=${PIPESTATUS[0]}
	[ "$status" = 5 ] || fail "with a slow reader the status is $status"
	grep -v '^minivmm: ' "$TMP/out" >"$TMP/lines" # as of a machine that is slow to stop
	seq 0 20000 | cmp - "$TMP/lines" || fail "a slow reader gets: $(seq 0 20000 | diff - "$TMP/lines" | tail -n 3)"
	status=0
	job -- /bin/busybox echo lost 2>"$TMP/err" >/dev/full || status=$?
	[ "$status" = 125 ] || fail "output that cannot be written gives $status"
	# A reader that goes away ends a writer, as in any pipe; a closed output is no hang.
	job -- /bin/busybox yes 2>"$TMP/err" | head -c 100000 >"$TMP/out"
	[ "$(wc -c <"$TMP/out")" = 100000 ] || fail 'the reader got too little'
	job --kernel "$VMLINUX" --stats "$TMP/stats" --verbose -- /bin/busybox echo lost >&- 2>"$TMP/err" <&- || fail 'with a closed output'
	bytes=$(sed -n 's/^minivmm: initramfs of \([0-9]*\) bytes$/\1/p' "$TMP/err")
	echo "initramfs: $bytes bytes"
	[ "$bytes" -le 2000000 ] || fail "an initramfs of $bytes bytes"
	grep -q '"job":{[^}]*"lost_bytes":5[,}]' "$TMP/stats" || fail 'what was lost is not in the accounts'
	;;
files)
	mkdir "$TMP/ro" "$TMP/rw"
	echo text >"$TMP/ro/file"
	mkdir -p /run
	mount -t tmpfs none /run
	touch /run/of-the-host
	job --share "$TMP/ro:/ro" --share "$TMP/rw:/rw:rw" --out "$TMP/o" --cwd /rw --env TOOLS="$TOOLS" --env PATH="$PATH" -- /bin/busybox sh -euc '
		echo gone >/etc/only-here
		[ ! -e /run/of-the-host ]
		[ "$(cat /ro/file)" = text ]
		if echo x >/ro/file; then exit 4; fi
		if touch /ro/new; then exit 5; fi
		mkdir d
		i=0; while [ $i -lt 300 ]; do echo $i >d/$i; i=$((i + 1)); done
		[ $(ls d | wc -l) = 300 ]
		mv d/0 d/zero; ln d/zero hard; ln -s d/zero soft; rm d/1; rmdir d 2>/dev/null && exit 3
		[ "$(cat soft)" = 0 ]; [ "$(stat -c %h hard)" = 2 ]
		exec 3>open; rm open; echo more >&3
		chmod 4755 hard; [ "$(stat -c %a hard)" = 755 ]
		if mknod dev c 1 3; then exit 6; fi
		dd if=/dev/urandom of=$OUT/data bs=64k count=100 2>/dev/null
		dd if=$OUT/data of=$OUT/copy bs=1M 2>/dev/null
		truncate -s 1000 $OUT/copy
		sha256sum $OUT/data | cut -d " " -f 1 >$OUT/sum
		# What is left to the end: memory of a file that nobody has written back, a file system in one.
		"$TOOLS/mapped" $OUT/mapped 16 >/tmp/said &
		until [ -s /tmp/said ]; do usleep 100000; done
		modprobe loop
		truncate -s 4M $OUT/image
		/usr/sbin/mke2fs -qF $OUT/image
		mkdir /tmp/image
		mount -o loop $OUT/image /tmp/image
		echo text >/tmp/image/file' 2>"$TMP/err" || fail "in the guest: $(tail -n 2 "$TMP/err")"
	[ ! -e /etc/only-here ] || fail 'the root was written to'
	[ "$(cat "$TMP/o/sum")" = "$(sha256sum <"$TMP/o/data" | cut -d ' ' -f 1)" ] || fail 'the contents are others'
	[ "$(stat -c %s "$TMP/o/copy")" = 1000 ] || fail 'the size is another'
	[ "$(cat "$TMP/rw/d/zero")" = 0 ] && [ ! -e "$TMP/rw/d/1" ] && [ ! -e "$TMP/rw/open" ] || fail 'the names are others'
	[ "$(stat -c %a "$TMP/rw/hard")" = 755 ] || fail 'a file that runs with its owner'"'"'s rights'
	[ "$(cat "$TMP/ro/file")" = text ] || fail 'a read-only share was written to'
	mkdir "$TMP/image"
	mount -o loop,ro "$TMP/o/image" "$TMP/image"
	[ "$(cat "$TMP/image/file")" = text ] || fail 'what a file system in a file had is lost'
	umount "$TMP/image"
	mapped "$TMP/mapped" 16 >"$TMP/said" &
	await 'it is mapped' [ -s "$TMP/said" ]
	cmp "$TMP/mapped" "$TMP/o/mapped" || fail 'what a process had mapped is lost'
	;;
user)
	# What the host says passes through, also to a user who is not root there; the same operations end as on the host,
	# and what the host puts in a file's place is seen.
	mkdir "$TMP/small" "$TMP/rw" "$TMP/host" "$TMP/frozen"
	mount -t tmpfs -o size=1m tmpfs "$TMP/small"
	mount -t tmpfs tmpfs "$TMP/frozen"
	mkdir "$TMP/rw/ops" "$TMP/rw/held"
	echo secret >"$TMP/rw/others"
	chmod 600 "$TMP/rw/others"
	chown 5:5 "$TMP/rw/others"
	echo old >"$TMP/rw/file"
	echo x >"$TMP/rw/held/x"
	(
		until [ -e "$TMP/rw/holds" ]; do sleep 0.5; done
		echo newer >"$TMP/new"
		mv "$TMP/new" "$TMP/rw/file"
		mv "$TMP/rw/held" "$TMP/rw/elsewhere"
		mkdir "$TMP/rw/held"
		mount -o remount,ro "$TMP/frozen"
		touch "$TMP/rw/done"
	) &
	cat >"$TMP/rw/job" <<-'EOF'
		fails() # fails TEXT COMMAND...
		{
			text=$1
			shift
			if "$@" 2>/tmp/err; then echo "no error: $*"; exit 9; fi
			grep -q "$text" /tmp/err || { cat /tmp/err; exit 10; }
		}
		set -eu
		[ "$(id -u):$(id -g)" = 1000:100 ]
		echo one >/dev/stdout
		echo two >/dev/stderr
		[ ! "$(cat /dev/stdin)" ]
		ulimit -n 10000
		grep -qw '127.0.0.1 localhost' /etc/hosts && grep -qw minivmm /etc/hosts
		[ "$(stat -c %u:%g /rw/file)" = 1000:100 ]
		touch $OUT/own
		chmod 600 $OUT/own
		fails 'No space left' dd if=/dev/zero of=/small/big bs=64k count=64
		fails 'Permission denied' cat /rw/others
		fails 'Permission denied' touch /root/new
		fails 'not permitted' chown 5:5 /rw/file
		fails 'Read-only file system' touch /ro/new
		touch /frozen/old
		cd /rw/held
		exec 3</rw/file
		touch /rw/holds
		until [ -e /rw/done ]; do sleep 0.5; done
		sleep 2 # what is known of a name counts for a second
		fails 'Read-only file system' touch /frozen/new
		[ "$(cat <&3)" = old ]
		[ "$(cat /rw/file)" = newer ]
		[ ! -e /rw/held/x ]
		[ "$(cat x)" = x ]
		fsops /rw/ops 1 1000 >$OUT/ops
	EOF
	job --user 1000:100 --share "$TMP/small:/small:rw" --share "$TMP/rw:/rw:rw" --share "$TMP/rw:/ro" --share "$TMP/frozen:/frozen:rw" \
		--out "$TMP/o" --env PATH="$PATH" -- /bin/sh /rw/job >"$TMP/out" 2>&1 </dev/null || fail "in the guest: $(tail -n 2 "$TMP/out")"
	[ "$(stat -c %u:%g:%a "$TMP/o/own")" = 0:0:600 ] || fail 'what the job leaves is not the caller'"'"'s'
	chown 1000:100 "$TMP/host"
	chmod 755 "$TMP"
	setpriv --clear-groups --reuid=1000 --regid=100 "$TOOLS/fsops" "$TMP/host" 1 1000 >"$TMP/want"
	cmp "$TMP/want" "$TMP/o/ops" || fail "operations end otherwise: $(diff "$TMP/want" "$TMP/o/ops" | head -n 4)"
	;;
tty)
	# A terminal here, one there: its size and a new one, Ctrl-C, and all as it was at the end.
	cat >"$TMP/terminal" <<-EOF
		stty rows 33 cols 99
		tty >$TMP/tty
		"$MINIVMM" run --root / --kernel "$kernel" --mem 256M --timeout 300s --tty -- /bin/busybox sh -c 'stty size; tty
			trap "echo interrupted; exit 7" INT
			trap "stty size" WINCH
			echo errors >&2
			read -r word
			echo "read \$word"
			while :; do sleep 1; done'
		echo "status \$?"
		stty -a
	EOF
	mkfifo "$TMP/keys"
	exec 4<>"$TMP/keys"
	background sh -c 'exec "$@" <"$0"' "$TMP/keys" script -qec "sh $TMP/terminal" /dev/null >"$TMP/screen" 4>&-
	said_here() { grep -qF -- "$1" "$TMP/screen"; }
	await 'the terminal there' said_here errors
	printf 'a word\r' >&4
	await 'a line' said_here 'read a word'
	stty rows 44 cols 111 <"$(cat "$TMP/tty")"
	await 'the new size' said_here '44 111'
	printf '\003' >&4
	await 'the end' said_here 'status 7'
	await 'the terminal as it was' said_here ' icanon'
	exec 4>&-
	for text in '33 99' /dev/pts/0 interrupted ' echo '; do said_here "$text" || fail "no '$text': $(cat "$TMP/screen")"; done
	;;
kernels)
	# The generic kernel, whose modules are compressed and without lists; the cloud kernel as a bzImage; the small one, with all
	# built in, as a bzImage and as vmlinux. How long each takes is told beside the cloud kernel.
	tap 1
	time_of() # time_of NAME: microseconds, of the last one's accounts
	{
		grep -o "\"$1\":[0-9]*" "$TMP/stats" | head -n 1 | cut -d: -f2
	}
	runs() # runs NAME FILE
	{
		job --kernel "$2" --net tap1,ip=10.0.1.2/24 --stats "$TMP/stats" -- /bin/sh -ec 'uname -r
			ip addr show eth0 | grep -q 10.0.1.2/24' >"$TMP/out" 2>"$TMP/err" || fail "$1: $(tail -n 2 "$TMP/err")"
		[ ! -s "$TMP/err" ] || fail "$1 said: $(cat "$TMP/err")"
		local entered=$(time_of first_entry) output=$(time_of first_output)
		echo "$1 ($(cat "$TMP/out")): to the first entry $((entered / 1000)) ms, to the first output $(((output - entered) / 1000)) ms more; of the guest:" \
			"kernel $(($(time_of guest_agent_us) / 1000)) ms, agent $((($(time_of guest_command_us) - $(time_of guest_agent_us)) / 1000)) ms"
	}
	runs generic "$GENERIC/vmlinux"
	runs cloud "$KERNEL"
	if [ -e "${SMALL:-}/vmlinux" ]; then
		runs small "$SMALL/bzImage"
		runs vmlinux "$SMALL/vmlinux"
	fi
	;;
ends)
	# A timeout, which passes beside the others.
	background "$MINIVMM" run --root / --kernel "$kernel" --mem 256M --timeout 60s --kill-after 1s -- \
		/bin/busybox sh -c 'trap "" TERM; while :; do sleep 1; done'
	timed=$!
	gives 134 /bin/busybox sh -c 'echo c >/proc/sysrq-trigger'
	grep -q '<error type="134"' "$TMP/job.xml" && grep -q 'guest: .*Kernel panic' "$TMP/job.xml" || fail "$(cat "$TMP/job.xml")"
	grep -q 'guest: .*Kernel panic' "$TMP/err" || fail "the kernel's reason is missing: $(cat "$TMP/err")"
	gives 134 /bin/busybox reboot -f
	gives 134 /bin/busybox halt -f
	# A machine whose memory is full says so.
	gives 137 /bin/busybox tail /dev/zero
	grep -q 'the guest ran out of memory' "$TMP/err" || fail "$(cat "$TMP/err")"
	# The agent's own program gone from its memory.
	gives 134 /bin/busybox sh -c 'set -- $(grep r-xp /proc/1/maps | head -n 1 | tr "-" " ")
		dd if=/dev/zero of=/proc/1/mem bs=4096 seek=$((0x$1 / 4096)) count=$(((0x$2 - 0x$1) / 4096)) conv=notrunc
		echo; sleep 5'
	mkfifo "$TMP/started"
	background sh -c 'exec "$@" >"$0"' "$TMP/started" "$MINIVMM" run --root / --kernel "$kernel" --mem 256M -- \
		/bin/busybox sh -c 'trap "exit 9" TERM; echo started; while :; do sleep 1; done'
	vmm=$!
	read -r word <"$TMP/started"
	[ "$word" = started ] || fail "it said '$word'"
	kill -TERM $vmm
	status=0
	wait $vmm || status=$?
	[ "$status" = 9 ] || fail "SIGTERM is the command's, which gives $status"
	# What it left waits for a file system of the host that does not answer: the status is the command's all the same.
	modprobe fuse
	mkdir "$TMP/dir" "$TMP/hung"
	echo text >"$TMP/dir/file"
	background mountfs "$TMP/dir" "$TMP/hung" >"$TMP/server"
	server=$!
	await 'a file system' grep -q ready "$TMP/server"
	background sh -c 'exec "$@" >"$0"' "$TMP/started" "$MINIVMM" run --root / --kernel "$VMLINUX" --mem 256M --timeout 200s --share "$TMP/hung:/h" -- \
		/bin/busybox sh -c 'echo started; sleep 3; cat /h/file & sleep 2; exit 3' 2>"$TMP/err"
	vmm=$!
	read -r word <"$TMP/started"
	kill -STOP $server
	status=0
	wait $vmm || status=$?
	kill -CONT $server
	[ "$status" = 3 ] || fail "beside a file system that does not answer the status is $status: $(cat "$TMP/err")"
	umount "$TMP/hung"
	# One that does not listen: a second ends the machine. So does SIGKILL, and nothing is left of it.
	for signal in TERM KILL; do
		background sh -c 'exec "$@" >"$0"' "$TMP/started" "$MINIVMM" run --root / --kernel "$kernel" --mem 256M -- \
			/bin/busybox sh -c 'trap "" TERM; echo started; while :; do sleep 1; done'
		vmm=$!
		read -r word <"$TMP/started"
		[ $signal = KILL ] || { kill -TERM $vmm; sleep 1; }
		kill -$signal $vmm
		status=0
		wait $vmm || status=$?
		[ "$status" = $((128 + $(kill -l $signal))) ] || fail "SIG$signal gives $status"
	done
	status=0
	wait $timed || status=$?
	[ "$status" = 124 ] || fail "a timeout gives $status"
	;;
esac
