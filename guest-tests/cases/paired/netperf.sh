# variants: VMMS
# netperf's protocol, in both modes, spoken by crr, and by netperf itself where there is one (Debian has it in non-free).
# By time in one of them: the count is the protocol's, whatever the guest does between frames.
tap 0 vnet_hdr
second="--seconds 0.8 --warmup 0.2" # in all, as long as the protocol can say

udp_stream() { # every byte of ten datagrams arrives
	"$crr" client $address --netperf 12865 --test udp_stream --count 655070 >"$TMP/udp" && grep -qx 'netserver *655070' "$TMP/udp"
}

for mode in irq poll; do
	name="$VARIANT $mode"
	guest_start "mode=$mode"
	for t in crr rr cc udp_rr stream maerts; do
		[ $mode = poll ] || check "$name: netperf protocol, $t" "$crr" client $address --netperf 12865 --test $t $second
		check "$name: netperf protocol, $t, counted" "$crr" client $address --netperf 12865 --test $t --count 1000
	done
	# The default of netperf's UDP_STREAM: datagrams of 45 fragments. Few of them, all of which must arrive.
	[ $mode = poll ] || check "$name: netperf protocol, udp_stream" "$crr" client $address --netperf 12865 --test udp_stream $second
	check "$name: netperf protocol, udp_stream, counted" udp_stream
	check "$name: netperf protocol, large requests" \
		"$crr" client $address --netperf 12865 --test rr $second --request 10000 --response 60000
	if command -v netperf >/dev/null; then
		for t in TCP_CRR TCP_RR TCP_CC UDP_RR UDP_STREAM TCP_STREAM TCP_MAERTS; do
			check "$name: netperf, $t" timeout 60 netperf -H $address -t $t -l 1
		done
	fi
	guest_stop "$name"
	is "$name: no bad checksums" "$(counter rx_bad_checksum)" 0
done
