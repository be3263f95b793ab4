# launch and compare with programs that stand in for a VMM: times are noted, endings and failures are passed on.
launch=$build/launch
crr=$build/crr
compare=$top/guest-tests/bench/compare
dir=$TMP
cd "$dir" || exit 1

"$launch" --marks marks --mark two=second --mark none=never --console out --pid pid -- \
	sh -c 'echo $$; echo first; sleep 0.2; echo the second line; echo wrong >&2; echo the second line; exit 7'
check "the program's status" [ $? = 7 ]
check "its output is kept" [ "$(sed -n 2,3p out)" = "first
the second line" ]
check "its errors too" [ "$(cat out.err)" = wrong ]
check "its process id" [ "$(cat pid)" = "$(head -n 1 out)" ]
check "first output, then the mark, once; no mark for what was not said" \
	[ "$(cut -f1 marks | tr '\n' ' ')" = 'first_output_ms two ' ]
check "the mark's time" awk '$1 == "two" { exit !($2 >= 200 && $2 < 60000) }' marks

"$launch" --console out -- sh -c 'printf "no line end"'
check "an unended line is kept" [ "$(cat out)" = 'no line end' ]
"$launch" --marks marks --mark x=needle --console out -- sh -c 'yes aaaa | tr -d "\n" | head -c 20000; echo; echo needle'
check "a line longer than the buffer" grep -q '^x' marks
"$launch" -- sh -c 'kill -9 $$' 2>/dev/null
check "a program that dies of a signal" [ $? = 137 ]
"$launch" -- ./none 2>err
check "a program that is not there: status" [ $? = 125 ]
check "a program that is not there: says so" grep -q "cannot run './none': No such file" err
for bad in '--mark nokey' '--mark x=' '--probe x=1.2.3.4' '--probe x=1.2.3.4:0' '--probe x=here:7' '--marks no/dir' '--what 1'; do
	# shellcheck disable=SC2086
	"$launch" $bad -- true 2>err
	check "refused: $bad" [ $? = 125 ]
	check "with a reason: $bad" [ -s err ]
done
"$launch" --console no/dir -- true 2>err
check "a console that cannot be written" [ $? = 125 ]

"$launch" --pid pid --console out -- sh -c 'trap "echo told; exit 3" TERM; echo up; while :; do sleep 0.05; done' &
await 'it is up' grep -q up out
kill -TERM $!
wait $!
check "SIGTERM is passed on, and the program's status back" [ $? = 3 ]
check "its last words are kept" grep -q told out

"$crr" server --bind 127.0.0.1 >/dev/null &
"$launch" --marks marks --probe answer=127.0.0.1:5002 --console out -- sleep 60 &
await 'an answer' grep -q '^answer' marks
kill $!
wait $!
kill %1
wait %1 2>/dev/null
"$launch" --marks marks --probe answer=127.0.0.1:5002 --console out -- sleep 0.3
check "no answer, no mark" [ ! -s marks ]

# compare against a program in the place of minivmm: it must end by itself, say what failed, and leave nothing behind.
cat >vmm <<'END'
#!/bin/sh
echo 'vmm: no such luck' >&2
exit 1
END
chmod +x vmm
export GUEST=paired GUEST_ELF=elf GUEST_BZ=bz LAUNCH=$launch CRR=$crr MINIVMM=$dir/vmm SECS=0.5 WARMUP=0.1 ROUNDS=1
if [ -w /dev/kvm ]; then
	CONFIGS='minivmm bare' TESTS='crr stream' "$compare" results >text 2>err
	check "a VMM that fails: status" [ $? = 1 ]
	check "a VMM that fails: its words" grep -q '^compare: minivmm in round 1 did not come up: vmm: no such luck' err
	check "the others are measured all the same" grep -Eq '^bare/crr/1	rate	[1-9]' results/results.tsv
	check "bare metal's stream" grep -Eq '^bare/stream/1	mbit_per_s	[1-9]' results/results.tsv
	check "no link is left" [ "$(ip -o link | grep -c bench)" = 0 ]

	printf '#!/bin/sh\necho "$*" >%s/args\nexit 1\n' "$dir" >vmm2 && chmod +x vmm2
	CONFIGS='minivmm:transport=pci,--sandbox=off,mtu=1400' MINIVMM=$dir/vmm2 TESTS=crr "$compare" results >text 2>err
	check "an option that is not the card's" grep -qE -- '^.*--sandbox=off .*--net tap=bench0,mac=[0-9a-f:]*,transport=pci,mtu=1400 ' args

	CONFIGS=floor FLOOR=$build/floor TESTS=crr "$compare" results >text 2>err
	check "an empty VM has a start" grep -Eq '^floor/start/1	serving_ms	[0-9]+\.[0-9]' results/results.tsv
	check "and nothing else that could be measured" [ $?/"$(grep -c '^floor/crr' results/results.tsv)" = 0/0 ]

	# Peers: one that wants other arguments, one that never starts, one that is not there.
	cat >qemu <<-'END'
		#!/bin/sh
		case "$*" in
		*-cpu\ host,-arch-capabilities\ *) echo ready && exec sleep 1000 ;;
		esac
		echo 'qemu: error: failed to set MSR 0x10a to 0x0' >&2
		exit 134
	END
	chmod +x qemu
	CONFIGS='bare qemu lkvm qemu@mode=poll' QEMU=$dir/qemu LKVM=$dir/vmm TESTS=crr "$compare" results >text 2>err
	check "peers that do not start are no failure" [ $? = 0 ]
	check "one that wants other arguments gets them" grep -q '^qemu/crr/1	' results/results.tsv
	check "each time" grep -q '^qemu@mode=poll/crr/1	' results/results.tsv
	check "one that does not start is a row that says why" \
		grep -qx 'about	lkvm	not measured: did not come up: vmm: no such luck' results/results.tsv
	CONFIGS='bare qemu:vhost=on lkvm' QEMU=$dir/vmm LKVM=/none TESTS=crr "$compare" results >text 2>err
	check "without any peer that starts: status" [ $? = 0 ]
	check "one that is not installed is a row too" grep -qx 'about	lkvm	not measured: is not installed' results/results.tsv
	check "words after its name too" grep -q '^about	qemu:vhost=on	not measured: did not come up' results/results.tsv
	check "the load stands in the results" grep -Eq '^about	load during	[0-9.]+ to [0-9.]+ ' results/results.tsv

	# The same for what passt costs.
	if ((EUID == 0)) && command -v passt >/dev/null; then
		QEMU=$dir/vmm SECS=1 MINIVMM=$build/minivmm "$top/guest-tests/bench/passt" 1 >text 2>err
		is "passt's costs without a peer: status" "$? $(tail -n 1 err)" "0 "
		check "a row says why" grep -qx 'qemu: not measured: did not come up: vmm: no such luck' text
		check "and minivmm is measured" [ "$(grep -Ec '^minivmm +[0-9.]+ ' text)" = 2 ]
	else
		skipped "passt's costs" 'no passt, or no root'
	fi

	# A stock netperf, and none.
	printf '#!/bin/sh\necho "16384 131072 1 1 2.00 777.5"\necho "5 6"\n' >netperf && chmod +x netperf
	CONFIGS=qemu QEMU=$dir/qemu NETPERF=$dir/netperf TESTS='netperf-crr netperf-udp' "$compare" results >text 2>err
	check "netperf's figure" grep -qx 'qemu/netperf-crr/1	rate	777.5' results/results.tsv
	check "netperf's figure of datagrams is what has come" grep -qx 'qemu/netperf-udp/1	mbit_per_s	6' results/results.tsv
	CONFIGS=qemu QEMU=$dir/qemu NETPERF=$dir/netperf TESTS='netperf-crr1 netperf-crr8' "$compare" results >text 2>err
	check "netperf's figure, one at a time" grep -qx 'qemu/netperf-crr1/1	rate	777.5' results/results.tsv
	check "netperf's figures, eight at a time, are added up" grep -qx 'qemu/netperf-crr8/1	rate	6220' results/results.tsv
	printf '#!/bin/sh\nmkdir %s/taken 2>/dev/null || { echo "no seat"; exit 1; }\necho "16384 131072 1 1 2.00 777.5"\n' "$dir" >netperf2 && chmod +x netperf2
	CONFIGS=qemu QEMU=$dir/qemu NETPERF=$dir/netperf2 TESTS='netperf-crr8' "$compare" results >text 2>err
	check "one that fails: no figure, and its words" \
		[ "$(grep -c '^qemu/netperf-crr8/1	rate' results/results.tsv)/$(grep -c 'qemu/netperf-crr8/1: 7 of 8 netperfs failed: no seat' err)" = 0/1 ]
	CONFIGS=qemu QEMU=$dir/qemu NETPERF=$dir/none TESTS='netperf-crr' "$compare" results >text 2>err
	check "no netperf: status, and a row" \
		[ $?/"$(grep -cx 'about	netperf	not measured: is not installed' results/results.tsv)" = 0/1 ]

	# Rounds are added while the report cannot tell: one that never can, one that can at once.
	printf '#!/bin/sh\nexit 3\n' >never && printf '#!/bin/sh\nexit 0\n' >at-once && chmod +x never at-once
	for r in never at-once; do
		CONFIGS=bare TESTS=crr MAX_ROUNDS=3 REPORT=$dir/$r "$compare" results >text 2>err
		cp results/results.tsv $r.tsv
	done
	check "rounds are added up to the limit" grep -qx 'about	rounds	3' never.tsv
	check "and none where all is known" grep -qx 'about	rounds	1' at-once.tsv
	mkdir -p without && printf '#!/bin/sh\nexit 1\n' >without/unshare && chmod +x without/unshare
	PATH=$dir/without:$PATH CONFIGS=bare TESTS=crr TURNS=2 timeout 20 "$compare" results >text 2>err
	is "no namespaces to take turns in: status, and a line" "$?/$(cat err)" \
		"2/compare: TURNS needs network namespaces, which cannot be had here"
	CONFIGS=bare TESTS=nonsense TURNS=2 timeout 20 "$compare" results >text 2>err
	is "one that ends before its last turn: status, and why" "$?/$(cat err)" "1/compare: no test 'nonsense'"
	CONFIGS=bare TESTS=nonsense "$compare" results >text 2>err
	check "an unknown test: status" [ $? = 2 ]
	check "an unknown test: says so" grep -q "no test 'nonsense'" err
	check "and no process is left" [ -z "$(pgrep -f "^$crr server")" ]
else
	skipped compare 'no usable /dev/kvm'
fi
GUEST=other "$compare" results 2>err
check "an unknown guest" grep -q "no guest 'other'" err
