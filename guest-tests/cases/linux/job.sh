# variants: status stdio files ends
# `minivmm run`: this host's own root, kernel and modules, one command in a machine of its own.
job()
{
	"$MINIVMM" run --root / --kernel "$KERNEL" --mem 256M --timeout 300s "$@"
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
	gives 126 /etc
	gives 137 /bin/busybox sh -c 'kill -9 $$'
	# What it leaves running ends with it; the exit-status port is no way to a success.
	gives 3 /bin/busybox sh -c 'busybox yes & exit 3'
	gives 134 "$TOOLS/outb" 0xf4 0
	# What cannot be is said in one line: a place, a kernel without its modules.
	status=0
	job --cwd /nowhere -- /bin/busybox true 2>"$TMP/err" || status=$?
	[ "$status $(wc -l <"$TMP/err")" = '125 1' ] || fail "no such directory gives $status: $(cat "$TMP/err")"
	mount -t tmpfs none "$(readlink -f /lib/modules)"
	gives 125 /bin/busybox true
	grep -q 'no virtio drivers' "$TMP/err" || fail "a kernel without modules says: $(cat "$TMP/err")"
	;;
stdio)
	dd if=/dev/urandom of="$TMP/data" bs=1M count=16
	job -- /bin/busybox cat <"$TMP/data" >"$TMP/back"
	same "$TMP/data" "$TMP/back"
	# Apart, exact, in order; arguments as they are.
	job -- /bin/busybox sh -c 'printf "%s|" "$@"; echo err >&2; i=0
		while [ $i -lt 2000 ]; do echo $i; i=$((i + 1)); done' - 'a b' '$HOME' '' "it's" >"$TMP/out" 2>"$TMP/err"
	[ "$(cat "$TMP/err")" = err ] || fail "errors: $(cat "$TMP/err")"
	[ "$(head -c 17 "$TMP/out")" = 'a b|$HOME||it'"'"'s|0' ] || fail "arguments: $(head -n 1 "$TMP/out")"
	[ "$(tail -n 1 "$TMP/out")" = 1999 ] || fail 'the last line is not the last'
	# A slow reader gets all of it, and the status is the command's.
	job -- /bin/busybox sh -c 'seq 20000; exit 5' | (sleep 20; cat >"$TMP/out")
	status=${PIPESTATUS[0]}
	[ "$status" = 5 ] || fail "with a slow reader the status is $status"
	[ "$(wc -l <"$TMP/out")" = 20000 ] || fail "a slow reader gets $(wc -l <"$TMP/out") lines"
	status=0
	job -- /bin/busybox echo lost 2>"$TMP/err" >/dev/full || status=$?
	[ "$status" = 125 ] || fail "output that cannot be written gives $status"
	# A reader that goes away ends a writer, as in any pipe; a closed output is no hang.
	job -- /bin/busybox yes 2>"$TMP/err" | head -c 100000 >"$TMP/out"
	[ "$(wc -c <"$TMP/out")" = 100000 ] || fail 'the reader got too little'
	job --stats "$TMP/stats" --verbose -- /bin/busybox echo lost >&- 2>"$TMP/err" <&- || fail 'with a closed output'
	bytes=$(sed -n 's/^minivmm: initramfs of \([0-9]*\) bytes$/\1/p' "$TMP/err")
	echo "initramfs: $bytes bytes"
	[ "$bytes" -le 2000000 ] || fail "an initramfs of $bytes bytes"
	grep -q '"job":{.*"lost_bytes":5}' "$TMP/stats" || fail 'what was lost is not in the accounts'
	;;
files)
	mkdir "$TMP/ro" "$TMP/rw"
	echo text >"$TMP/ro/file"
	job --share "$TMP/ro:/ro" --share "$TMP/rw:/rw:rw" --out "$TMP/o" --cwd /rw -- /bin/busybox sh -euc '
		echo gone >/etc/only-here
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
		sha256sum $OUT/data | cut -d " " -f 1 >$OUT/sum' 2>"$TMP/err" || fail "in the guest: $(tail -n 2 "$TMP/err")"
	[ ! -e /etc/only-here ] || fail 'the root was written to'
	[ "$(cat "$TMP/o/sum")" = "$(sha256sum <"$TMP/o/data" | cut -d ' ' -f 1)" ] || fail 'the contents are others'
	[ "$(stat -c %s "$TMP/o/copy")" = 1000 ] || fail 'the size is another'
	[ "$(cat "$TMP/rw/d/zero")" = 0 ] && [ ! -e "$TMP/rw/d/1" ] && [ ! -e "$TMP/rw/open" ] || fail 'the names are others'
	[ "$(stat -c %a "$TMP/rw/hard")" = 755 ] || fail 'a file that runs with its owner'"'"'s rights'
	[ "$(cat "$TMP/ro/file")" = text ] || fail 'a read-only share was written to'
	;;
ends)
	status=0
	"$MINIVMM" run --root / --kernel "$KERNEL" --mem 256M --timeout 60s --kill-after 1s -- \
		/bin/busybox sh -c 'trap "" TERM; while :; do sleep 1; done' 2>"$TMP/err" || status=$?
	[ "$status" = 124 ] || fail "a timeout gives $status"
	gives 134 /bin/busybox sh -c 'echo c >/proc/sysrq-trigger'
	grep -q '<error type="134"' "$TMP/job.xml" && grep -q 'guest: .*Kernel panic' "$TMP/job.xml" || fail "$(cat "$TMP/job.xml")"
	grep -q 'guest: .*Kernel panic' "$TMP/err" || fail "the kernel's reason is missing: $(cat "$TMP/err")"
	gives 134 /bin/busybox reboot -f
	# The agent's own program gone from its memory.
	gives 134 /bin/busybox sh -c 'set -- $(grep r-xp /proc/1/maps | head -n 1 | tr "-" " ")
		dd if=/dev/zero of=/proc/1/mem bs=4096 seek=$((0x$1 / 4096)) count=$(((0x$2 - 0x$1) / 4096)) conv=notrunc
		echo; sleep 5'
	mkfifo "$TMP/started"
	background sh -c 'exec "$@" >"$0"' "$TMP/started" "$MINIVMM" run --root / --kernel "$KERNEL" --mem 256M -- \
		/bin/busybox sh -c 'trap "exit 9" TERM; echo started; while :; do sleep 1; done'
	vmm=$!
	read -r word <"$TMP/started"
	[ "$word" = started ] || fail "it said '$word'"
	kill -TERM $vmm
	status=0
	wait $vmm || status=$?
	[ "$status" = 9 ] || fail "SIGTERM is the command's, which gives $status"
	# One that does not listen: a second ends the machine. So does SIGKILL, and nothing is left of it.
	for signal in TERM KILL; do
		background sh -c 'exec "$@" >"$0"' "$TMP/started" "$MINIVMM" run --root / --kernel "$KERNEL" --mem 256M -- \
			/bin/busybox sh -c 'trap "" TERM; echo started; while :; do sleep 1; done'
		vmm=$!
		read -r word <"$TMP/started"
		[ $signal = KILL ] || { kill -TERM $vmm; sleep 1; }
		kill -$signal $vmm
		status=0
		wait $vmm || status=$?
		[ "$status" = $((128 + $(kill -l $signal))) ] || fail "SIG$signal gives $status"
	done
	;;
esac
