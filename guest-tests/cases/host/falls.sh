# What `run` makes of a host that falls, stands still or runs out of time: with a script that stands in for QEMU, and
# for each start does the next line of a plan.
dir=$TMP
mkdir "$dir/bin"
cat >"$dir/bin/qemu-system-x86_64" <<'FAKE'
# Knows the files behind its chardevs; $PLAN is a file of which each line is the script of one start.
for arg; do
	[[ $arg != file,id=*,path=* ]] || { IFS=,= read -r _ _ id _ path <<<"$arg"; declare "$id=$path"; }
done
work=$(dirname "$alive")
exec 3>"$out" 4>"$err"
cpio -i --quiet --to-stdout job/cmd <"$work/put.cpio" >>"$PLAN.jobs"
line=$(head -n 1 "$PLAN")
sed -i 1d "$PLAN"
eval "$line"
FAKE
chmod +x "$dir/bin/qemu-system-x86_64"
# It boots nothing.
mkdir -p "$dir/images/generic"
touch "$dir/images"/{l1.cpio,l2.cpio,generic/l2.cpio}

# nested PLAN ARG...: runs it; its output is in $dir/out and $dir/err, the jobs it gave in $dir/plan.jobs.
nested()
{
	rm -f "$dir/plan.jobs" "$dir/results"
	printf '%s\n' "$1" >"$dir/plan"
	shift
	RESULTS=$dir/results PLAN=$dir/plan PATH=$dir/bin:$PATH IMAGES=$dir/images MINIVMM=/bin/true NESTED_SILENCE=3 \
		timeout 120 "$top/guest-tests/host/run" "$@" >"$dir/out" 2>"$dir/err"
}
output() { [ "$(cat "$dir/out")" = "$1" ]; }
said() { grep -qF "$1" "$dir/err"; }
job() { sed -n "$1p" "$dir/plan.jobs" | grep -qF "$2"; }

panic='echo Kernel panic - not syncing >"$console"'

nested 'printf "a\nb" >&3; echo c >&4; echo 7 >"$status"' --exec /bin/true
check "the job's status" [ $? = 7 ]
check "the job's output, as it is" output "a
b"
check "the job's errors" grep -qx c "$dir/err"

nested 'echo "ok linux/acpi (1 s)" >&3; echo "FAIL linux/ping-pci: no" >&3; echo "1 passed, 1 failed" >&3; echo 1 >"$status"' acpi ping-pci
check "a case that fails is not tried again" [ $? = 1 ]
check "and is counted" output "ok linux/acpi (1 s)
FAIL linux/ping-pci: no
1 passed, 1 failed"

nested "echo 'ok linux/acpi (1 s)' >&3; echo 'FAIL linux/ping-pci: no' >&3; $panic"'
echo "ok linux/ping-pci (1 s)" >&3; echo "ok linux/rng-pci (2 s)" >&3; echo 0 >"$status"' acpi ping-pci rng-pci
check "a host that falls is replaced" [ $? = 0 ]
check "and said" said 'L1 fell over: its kernel panicked (try 1 of 5)'
check "the second host gets what did not pass" job 2 "run 'linux/ping-pci' 'linux/rng-pci'"
check "with the cause" [ "$(grep -c 'retried: linux/.* (host fell)' "$dir/out")" = 2 ]
check "the results are the last ones" [ "$(cut -d ' ' -f 1,2 "$dir/results" | tr '\n' ,)" = \
	'retried: linux/ping-pci,retried: linux/rng-pci,ok linux/acpi,ok linux/ping-pci,ok linux/rng-pci,' ]
check "each case is counted once" [ "$(tail -n 1 "$dir/out")" = '3 passed, 0 failed' ]

nested "$panic
$panic
$panic
$panic
$panic
echo 0 >\"\$status\"" --exec /bin/true
check "five hosts, not more" [ $? = 125 ]
check "and the sixth is not asked" [ "$(wc -l <"$dir/plan")" = 1 ]

nested 'echo "ok linux/acpi (1 s)" >&3; exec sleep 60
echo "ok linux/ping-pci (1 s)" >&3; echo 0 >"$status"' acpi ping-pci
check "a host that stands still is ended and replaced" [ $? = 0 ]
check "and said" said 'no heartbeat in 3 s'
check "its case is done again" [ "$(tail -n 1 "$dir/out")" = '2 passed, 0 failed' ]

nested 'for i in $(seq 7); do touch "$alive"; sleep 1; done; echo 0 >"$status"' --exec /bin/true
check "one whose heart beats is not" [ $? = 0 ]

nested 'echo "ok linux/acpi (1 s)" >&3; while :; do touch "$alive"; sleep 1; done' --timeout 5 acpi ping-pci
check "a run that is not done in time fails" [ $? = 124 ]
check "a case that did not end has failed" grep -q '^FAIL linux/ping-pci: its host ended' "$dir/results"
check "with what did not end" [ "$(tail -n 1 "$dir/out")" = '1 passed, 1 failed' ]

nested 'echo "ok linux/acpi (1 s)" >&3; echo 0 >"$status"' acpi ping-pci
check "a case without a result has failed" [ $? = 1 ]

nested '' --exec /no/such/job
check "no such job" [ $? = 125 ]
check "is said" said 'no file /no/such/job'
nested '' nonsense
check "no such case" [ $? = 125 ]

# A case's own second try, in a tree that has but that case: it is told and counted, and never happens unasked.
mkdir -p "$dir/tree/guest-tests/cases/host"
cp "$top/guest-tests/run" "$top/guest-tests/lib.sh" "$dir/tree/guest-tests"
echo '[ -e "$FLAKY" ] || { : >"$FLAKY"; fail "the first time"; }' >"$dir/tree/guest-tests/cases/host/flaky.sh"
flaky() # flaky TRIES
{
	rm -f "$dir/flaky"
	env -u RESULTS FLAKY="$dir/flaky" TRIES="$1" BUILD="$dir/tree/build" LOGS="$dir/tree/logs" "$dir/tree/guest-tests/run" host/flaky >"$dir/out" 2>&1
}
flaky 2
check "a second try: the status" [ $? = 0 ]
check "it is told, with its cause" [ "$(grep -c '^retried: host/flaky (assertion failed)$' "$dir/out")" = 2 ]
check "and counted" grep -qx 'retries because: assertion failed: 1' "$dir/out"
check "the first one's reason is kept" grep -q 'the first time' "$dir/out"
check "its result is the last one's" [ "$(tail -n 1 "$dir/out")" = '1 passed, 0 failed' ]
flaky 1
check "without being asked there is none" [ $?/"$(tail -n 1 "$dir/out")" = 1/'0 passed, 1 failed' ]
