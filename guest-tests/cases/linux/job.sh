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
		! echo x >/ro/file
		! touch /ro/new
		mkdir d
		i=0; while [ $i -lt 300 ]; do echo $i >d/$i; i=$((i + 1)); done
		[ $(ls d | wc -l) = 300 ]
		mv d/0 d/zero; ln d/zero hard; ln -s d/zero soft; rm d/1; rmdir d 2>/dev/null && exit 3
		[ "$(cat soft)" = 0 ]; [ "$(stat -c %h hard)" = 2 ]
		exec 3>open; rm open; echo more >&3
		chmod 4755 hard; [ "$(stat -c %a hard)" = 755 ]
		! mknod dev c 1 3
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
	;;
esac
