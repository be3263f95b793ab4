# variants: minivmm-pci
# Two queue pairs, each with a processor of its own in the guest: all connections are served, on both, and nothing is lost.
# By a hash (rss): where the tap learns flows it forgets them after three seconds, and a port that is used again then may
# have its connection on one side and the next frame on the other.
keys=rss
tap 0 multi_queue vnet_hdr
ip link set tap0 txqueuelen 100000 2>/dev/null || :
stats=$TMP/stats

# row GROUP KEY: from the accounts
row()
{
	sed -n "s/.*\"net0.$1\":{\(.*\)}.*/\1/p" "$stats" | tr ',' '\n' | sed -n "s/^ *\"$2\":\([0-9]*\)$/\1/p"
}

many() # many CONNECTIONS OPTION...: none fails
{
	"$crr" client $address --connections "$1" --count $(($1 * 3 + 1000)) --timeout 60 "${@:2}" 2>&1 | tee "$TMP/text" | grep -a fail >&2
	[ "${PIPESTATUS[0]}" = 0 ]
}

counted() # counted NAME: in the guest's counters while it runs
{
	sed -n "s/^$1=//p" "$TMP/counters"
}

settled() # asks for both's accounts: the guest has taken all that it was given
{
	"$crr" counters $address >"$TMP/counters" || return
	: >"$stats"
	kill -USR1 $guest_pid
	until grep -q '}$' "$stats"; do sleep 0.1; done
	[ $(($(counted rx_packets) + $(counted rx_bad_device))) = "$(row to_guest delivered)" ]
}

for mode in irq poll; do
	name="$VARIANT $mode"
	for queues in 2 4; do # of four, two have a processor
		[ $mode-$queues != poll-4 ] || continue
		: >"$stats"
		guest_run vmm "$VARIANT" 2 128 "mode=$mode ip=$address"
		for n in 1 32 1000; do
			check "$name, $queues pairs: $n connections" many $n --port 5001
		done
		check "$name, $queues pairs: 200 connections that stay" many 200 --port 7 --test rr
		check "$name, $queues pairs: streams" "$crr" client $address --port 9 --test stream --connections 4 --seconds 0.5 --warmup 0
		check "$name, $queues pairs: streams from the guest" "$crr" client $address --port 19 --test maerts --connections 4 --seconds 0.5 --warmup 0
		check "$name, $queues pairs: pings" ping -q -c 20 -i 0.01 -W 5 $address
		check "$name, $queues pairs: what the guest has is what it was given" await 'the guest takes all that it was given' settled
		is "$name, $queues pairs: pairs that receive" "$(row ctrl pairs)" 2
		is "$name, $queues pairs: by a hash" "$(row ctrl rss)" 1
		is "$name, $queues pairs: no answer found the ring full" "$(counted tx_lost)" 0
		guest_stop "$name, $queues pairs"
		is "$name, $queues pairs: no bad checksums" "$(counter rx_bad_checksum)" 0
		# 1003, 1096 and 4000 of them, and each of the others'.
		is "$name, $queues pairs: all connections are counted" "$(counter tcp_accepted)" $((6099 + 200 + 4 + 4))
		for way in rx tx; do
			for pair in 0 1; do
				check "$name, $queues pairs: pair $pair carries frames, $way" [ "$(row $way$pair packets)" -gt 2000 ]
			done
		done
		for way in to from; do
			is "$name, $queues pairs: ${way}_guest: unexplained" "$(row ${way}_guest unexplained)" 0
		done
	done
done

# A processor that has no queue pair, and a pair that has no processor, are left alone.
queues=1 guest_run vmm "$VARIANT" 2 128 "mode=irq ip=$address"
check "$VARIANT: two processors, one pair" many 32 --port 5001
guest_stop "$VARIANT: two processors, one pair"
queues=2 guest_run vmm "$VARIANT" 1 128 "mode=irq ip=$address"
check "$VARIANT: one processor, two pairs" many 32 --port 5001
guest_stop "$VARIANT: one processor, two pairs"
is "$VARIANT: one processor, two pairs: the second carries nothing" "$(row rx1 packets) $(row tx1 packets)" '0 0'
