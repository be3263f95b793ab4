# The experiments in their short form: that they work, say what they found, and keep what was measured at Ctrl-C.
kvm_usable && [ -w /dev/net/tun ] || skip 'no /dev/kvm or no /dev/net/tun that is ours to open'
mkdir "$TMP/nic" "$TMP/rate" "$TMP/part"

SHORT=1 OUT=$TMP/nic make -s -C "$top" BUILD="$build" experiment nic-model >"$TMP/text" 2>&1
is "nic-model: status" $? 0
check "nic-model: the answer" grep -q 'Does a guest drop packets under ab.*bare metal took .*minivmm, PCI, interrupts took ' "$TMP/nic/answer.txt"
check "nic-model: nothing is unexplained" grep -q 'no hop accounts for: 0\.' "$TMP/nic/answer.txt"
check "nic-model: the way of the frames, printed" grep -q "host's interface -> tap -> minivmm -> guest: sent [1-9]" "$TMP/text"
check "nic-model: and in its page" grep -q 'guest -&#62; minivmm -&#62; tap' "$TMP/nic/report.html"

SHORT=1 OUT=$TMP/rate NETPERF=$TMP/none make -s -C "$top" BUILD="$build" experiment accept-rate >"$TMP/text" 2>&1
is "accept-rate: status" $? 0
check "accept-rate: the answer" grep -q 'bare metal does [0-9.]*/s and the VM [0-9.]*/s here' "$TMP/rate/answer.txt"
check "accept-rate: nothing is unexplained" grep -q 'no hop accounts for: 0\.' "$TMP/rate/answer.txt"
for hop in tap vmm guest unexplained; do
	check "accept-rate: what is dropped at each hop is told: $hop" grep -q "^minivmm:.*/crr.*	drops_$hop	[0-9]" "$TMP/rate/results.tsv"
done
check "accept-rate: a word of netperf where there is none" grep -q "^not measured: netperf's own TCP_CRR: it is not in PATH" "$TMP/text"
# Two tests of four configurations beside the base.
is "accept-rate: effects that are ranked" "$(grep -c ^effect "$TMP/rate/ranking.tsv")" 8
grep -q 'not measured' "$TMP/text" && grep -q 'cannot be had' "$TMP/text" && failed "accept-rate: a knob" "$(grep 'cannot be had' "$TMP/text")"
sed "s#build/guest.elf#$build/none#" "$TMP/rate/best.conf" >"$TMP/best.conf"
"$minivmm" --config "$TMP/best.conf" 2>"$TMP/err"
check "accept-rate: the best is a configuration" grep -q "'$build/none'" "$TMP/err"

# With netperf, or what stands in for it and has a connection all the same.
cat >"$TMP/netperf" <<END
#!/bin/sh
"$build/crr" client "\$2" --netperf 12865 --test crr --count 5 >/dev/null && echo '16384 131072 1 1 1.00 5.00'
END
chmod +x "$TMP/netperf"
CONFIGS=minivmm:transport=pci@mode=irq SHORT=1 TESTS='crr1 netperf-crr8 netperf-crr150' ROUNDS=1 OUT=$TMP/rate NETPERF=$TMP/netperf \
	"$top/guest-tests/bench/bench" >"$TMP/text" 2>&1
is "netperf, 8 at a time" "$(sed -n 's,^minivmm:transport=pci@mode=irq/netperf-crr8/1	rate	,,p' "$TMP/rate/results.tsv")" 40
is "netperf, 150 at a time" "$(sed -n 's,^minivmm:transport=pci@mode=irq/netperf-crr150/1	rate	,,p' "$TMP/rate/results.tsv")" 750
mkdir "$TMP/queues"
SHORT=1 OUT=$TMP/queues make -s -C "$top" BUILD="$build" experiment queues >"$TMP/text" 2>&1
is "queues: status" $? 0
check "queues: the answer" grep -Eq 'one pair does [1-9][0-9.]*/s and two do [1-9][0-9.]*/s, .* A connection is [1-9][0-9.]* frames\. .* P of them do .*, [1-9][0-9]*/s each' "$TMP/queues/answer.txt"
for key in vcpu_us net_us frames; do
	is "queues: what a connection costs, $key" "$(grep -c "/crr32/.*	${key}_per_unit	[1-9]" "$TMP/queues/results.tsv")" 8
done
check "queues: nothing is unexplained" grep -q 'no hop accounts for: 0\.' "$TMP/queues/answer.txt"

# interrupted DIR PATTERN PROGRAM WORD: Ctrl-C, to all of the group, once PATTERN is among what is measured in DIR.
interrupted()
{
	SECS=1 ROUNDS=50 TESTS=crr1 OUT=$1 setsid env --default-signal=INT "$top/guest-tests/bench/$3" "$4" >"$TMP/text" 2>&1 &
	pid=$!
	await 'a figure' grep -q "$2" "$1/results.tsv"
	kill -INT -- -$pid
	wait $pid
}
CONFIGS='minivmm:transport=pci@mode=irq bare' interrupted "$TMP/part" 'bare/crr1/1.rate' experiment accept-rate
check "Ctrl-C: what was measured is reported" grep -q 'Why does accept' "$TMP/part/answer.txt"
check "Ctrl-C: and in the page" grep -q 'data-key="rate"' "$TMP/part/report.html"
interrupted "$TMP/run" 'minivmm/crr1/1.rate' bench run
check "Ctrl-C in make run: what was measured is told" grep -Eq '^minivmm +[1-9][0-9]*\.[0-9] ' "$TMP/text"
check "Ctrl-C in make run: and the page" grep -q 'data-key="rate"' "$TMP/run/report.html"
TURNS=50 CONFIGS='bare minivmm:transport=pci@mode=irq' interrupted "$TMP/part" 'minivmm.*/crr1/2.rate' bench paired
check "Ctrl-C in turns: what was measured is told" grep -Eq '^bare metal +[1-9][0-9]*\.[0-9] ' "$TMP/text"
is "Ctrl-C in turns: nothing is left" "$(pgrep -f "compare $TMP/part")" ''
"$top/guest-tests/bench/experiment" nonsense 2>"$TMP/err"
is "no such experiment: status" $? 2
check "no such experiment: one line" grep -qx "experiment: no experiment 'nonsense' (nic-model, accept-rate or queues)" "$TMP/err"
"$top/guest-tests/bench/experiment" nic-model queues 2>"$TMP/err"
is "two experiments at once: status" $? 2
env CONFIGS='bare bare%nonsense' TESTS=crr1 ROUNDS=1 MAX_ROUNDS=1 SECS=0.1 WARMUP=0 OUT="$TMP/knob" "$top/guest-tests/bench/bench" >"$TMP/text" 2>&1
check "a knob that there is not is said" grep -q 'nonsense cannot be had here: there is no such knob' "$TMP/text"
config=minivmm:transport=pci@mode=irq
env CONFIGS="bare bare%nonsense $config" TESTS='crr1 rr1' ROUNDS=2 MAX_ROUNDS=2 TURNS=2 STARTS=1 SECS=0.1 WARMUP=0 OUT="$TMP/knob" \
	"$top/guest-tests/bench/bench" >"$TMP/text" 2>&1
is "turns: one after the other, whatever does not come up" \
	"$(sed -n 's,/crr1/\([0-9]\)	rate	.*, \1,p' "$TMP/knob/results.tsv" | tr '\n' ' ')" \
	"bare 1 $config 1 bare 2 $config 2 bare 3 $config 3 bare 4 $config 4 "
is "turns: what does not is said, each round" "$(grep -c '^about.*%nonsense.*cannot be had' "$TMP/knob/results.tsv")" 2
is "turns: exits by reason" "$(grep -c 'irq_.*exits_per_unit	[0-9]' "$TMP/knob/results.tsv")" 16
check "turns: nothing is unexplained" grep -q '^  unexplained: 0$' "$TMP/text"
# What is asked for is looked at before anything is measured, and said in one line.
for bad in ROUNDS=x ROUNDS=0 MAX_ROUNDS=-1 TURNS=0 CONNECTIONS=1.5 MEM=64M STARTS=0 SECS=x SECS=0.0 SECS=1.2.3 SECS=-1 WARMUP=. BASE=none TESTS=none CONFIGS=none; do
	env CONFIGS=bare TESTS=crr1 ROUNDS=1 STARTS=1 SECS=0.1 OUT="$TMP/bad" "$bad" "$top/guest-tests/bench/bench" >"$TMP/text" 2>"$TMP/err"
	is "bench, $bad: status, lines" "$?/$(wc -l <"$TMP/err")/$(wc -c <"$TMP/text")" "$([[ $bad == CONFIGS=* ]] && echo 1 || echo 2)/1/0"
done
for bad in passt jobs; do
	"$top/guest-tests/bench/$bad" x 2>"$TMP/err"
	is "$bad, x rounds" "$?/$(cat "$TMP/err")" "125/guest-tests/bench/$bad: 'x' is no number of rounds above 0"
done
