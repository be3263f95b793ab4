# variants: VMMS
# Many connections, in both modes: none fails, and nothing is lost. LONG=1: more of them.
times=2
((!${LONG:-0})) || times=5
tap 0 vnet_hdr
# For what a slow machine makes Linux repeat; Linux 6.1 has no queue of that length.
ip link set tap0 txqueuelen 100000 2>/dev/null || :

load() { # load OPTIONS: ab counts failures, but does not make them its status
	timeout 100 ab -q -n 15000 -c 150 "$@" "http://$address/health" >"$TMP/ab" 2>&1 &&
		grep -q 'Complete requests: *15000' "$TMP/ab" && grep -q 'Failed requests: *0' "$TMP/ab"
}

result() { # result KEY: of the last rates
	sed -n "s/^crr\t$1\t\([0-9]*\).*/\1/p" "$TMP/rates"
}

rates() { # rates CONNECTIONS: none of them waits for a timer, because nothing is lost
	rm -f "$TMP/rates"
	"$crr" client $address --port 5001 --connections "$1" --count $(($1 * times + 1000)) --timeout 60 --tsv "$TMP/rates" &&
		"$crr" counters $address >"$TMP/counters" || return 1
	grep -qx tx_lost=0 "$TMP/counters" || { echo "lost: $(grep tx_lost "$TMP/counters")"; return 1; }
	[ "$(result dev.tx_dropped)" = 0 ] || { echo "the tap's queue was full"; return 1; }
	# Who has to wait for 200 ms, Linux's shortest timeout, repeats what was not lost.
	[ "$(result tcp.RetransSegs)" = 0 ] || [ "$(result max_us)" -ge 200000 ] || { echo "$(result tcp.RetransSegs) retransmissions"; return 1; }
}

for mode in irq poll; do
	name="$VARIANT $mode"
	guest_start "mode=$mode"
	for n in 1 32 150 1000 4000; do
		check "$name: $n connections, nothing is lost" many $n rates $n
	done
	check "$name: ab" load
	check "$name: ab, keep-alive" load -k
	check "$name: 3000 connections at once" \
		many 3000 "$crr" client $address --port 7 --test rr --connections 3000 --count 9000
	guest_stop "$name"
	is "$name: no bad checksums" "$(counter rx_bad_checksum)" 0
done

# The transmit ring is as long in little memory.
for mem in 16 64; do
	name="$VARIANT, $mem MiB"
	guest_run vmm "$VARIANT" 1 $mem "mode=irq ip=$address"
	check "$name: 150 connections, nothing is lost" rates 150
	check "$name: a stream to us" "$crr" client $address --netperf 12865 --test maerts --count 10M
	guest_stop "$name"
done
