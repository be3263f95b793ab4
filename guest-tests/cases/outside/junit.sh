# `minivmm run --junit`: the report is there and is XML, however it ends. The guest is the smallest one, which knows
# nothing of jobs: it resets, or with its letter exchanged halts for good.
{ cat "$small"; printf 'Linux version 0.0-test '; } >"$tmp/resets"
LC_ALL=C sed 's/\x80\xf9c/\x80\xf9\xff/; s/\x80\xf9l/\x80\xf9c/' "$tmp/resets" >"$tmp/halts"
report=$tmp/job.xml

# job KERNEL OPTION...: its status in $status.
job()
{
	local kernel=$1
	shift
	timeout -s KILL 50 "$minivmm" run --root / --kernel "$tmp/$kernel" --mem 64M --junit "$report" "$@" -- sh -c $'echo "a&b" >\001' >"$tmp/out" 2>"$tmp/err" </dev/null
	status=$?
}

# reported STATUS XPATH: the report is XML, says that status, and the path is in it.
reported()
{
	xmllint --noout "$report" 2>"$tmp/xml" || { why=$(head -n 1 "$tmp/xml"); return 1; }
	[ "$(xmllint --xpath "boolean(//property[@name='status' and @value='$1']) and count(//testcase) = 1 and boolean($2)" "$report")" = true ] ||
		{ why="not $1, $2: $(cat "$report")"; return 1; }
}

guest_junit_no_word() { job resets && [ $status -eq 134 ] && reported 134 "//testcase[contains(@name, '\"a&b\"')]/error[contains(@message, 'without a word')]"; }
guest_junit_timeout() { job halts --timeout 500ms; [ $status -eq 124 ] && reported 124 "//error[contains(@message, 'timed out')]"; }
user_junit_cannot()
{
	job none && [ $status -eq 125 ] && reported 125 "//error[contains(@message, 'cannot open kernel')]" &&
		job resets --out /proc/none && reported 125 '//error' && job resets --nonsense && reported 125 "//error[contains(@message, 'nonsense')]"
}
vcpu_runs() { cat /proc/$1/task/*/comm | grep -q '^vcpu0'; }
# A signal, SIGKILL too.
guest_junit_signals()
{
	local s want
	for s in TERM KILL; do
		rm -f "$report"
		"$minivmm" run --root / --kernel "$tmp/halts" --mem 64M --junit "$report" -- x >"$tmp/out" 2>"$tmp/err" </dev/null &
		await 'the guest runs' vcpu_runs $!
		kill -$s $!
		wait $!
		[ $? -eq $((128 + $(kill -l $s))) ] || return 1
		want=143
		[ $s = TERM ] || want=125
		reported $want '//testcase/*[self::failure or self::error]' || return 1
	done
}
guest_junit_full()
{
	local report=/dev/full
	job resets
	[ $status -eq 134 ] && grep -q "JUnit report '/dev/full': No space left" "$tmp/err"
}
guest_junit_disk_full()
{
	mkdir -p "$tmp/disk" && mount -t tmpfs -o size=8k none "$tmp/disk" || { why=skip; return 1; }
	local report=$tmp/disk/job.xml
	# All but the one page that it has from the start.
	"$minivmm" run --root / --kernel "$tmp/halts" --mem 64M --junit "$report" --timeout 1s -- x >"$tmp/out" 2>"$tmp/err" </dev/null &
	await 'the report is there' test -s "$report"
	head -c 100000 /dev/zero >"$tmp/disk/rest" 2>"$tmp/xml"
	wait $!
	[ $? -eq 124 ] && reported 124 '//error'
	set -- $?
	umount "$tmp/disk"
	return $1
}
guest_junit_fifo()
{
	local report=$tmp/fifo
	mkfifo "$report"
	job resets
	[ $status -eq 134 ] && grep -q 'was not read' "$tmp/err" || return 1
	cat "$report" >"$tmp/read.xml" &
	job resets && wait $! && report=$tmp/read.xml && reported 134 '//error'
}
user_junit_over_another()
{
	job resets --stats "$report" && [ $status -eq 125 ] && grep -q 'it is also the' "$tmp/err" || return 1
	echo old >"$tmp/log"
	timeout 50 "$minivmm" run --root / --kernel "$tmp/resets" --log "$tmp/log" --junit "$tmp/log" -- x 2>"$tmp/err" </dev/null
	[ $? -eq 125 ] && [ "$(cat "$tmp/log")" = old ] || return 1
	cp "$tmp/resets" "$tmp/kernel"
	timeout 50 "$minivmm" run --root / --kernel "$tmp/kernel" --junit "$tmp/kernel" -- x 2>"$tmp/err" </dev/null
	[ $? -eq 125 ] && cmp -s "$tmp/resets" "$tmp/kernel"
}
