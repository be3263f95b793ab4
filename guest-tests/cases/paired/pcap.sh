# variants: minivmm-pci minivmm-mmio
# A capture opens in Debian's tcpdump: as many frames as the card has counted, in both directions, with their payload.
tap 0 vnet_hdr
echo 1 >/proc/sys/net/ipv6/conf/tap0/disable_ipv6
for keys in '' ,snap=60; do
	name="$VARIANT pcap$keys"
	rm -f "$TMP/capture"
	guest_run "$minivmm" --kernel "$build/guest.elf" --mem 128M --timeout 400s --stats "$TMP/stats" \
		--net "tap=tap0,transport=${VARIANT#minivmm-},pcap=$TMP/capture$keys" \
		--append "virtio_mmio.device=4K@0xfeb00000:5 mode=irq ip=$address"
	check "$name: ping" ping -c 5 -i 0.2 -p 6d696e69766d6d $address
	check "$name: connections" "$crr" client $address --port 5001 --connections 8 --count 200
	guest_stop "$name"
	frames=$(sed -n 's/.*"net0.pcap":{"frames":\([0-9]*\).*/\1/p' "$TMP/stats")
	lost=$(sed -n 's/.*"net0.pcap":.*"lost":\([0-9]*\).*/\1/p' "$TMP/stats")
	is "$name: none lost" "$lost" 0
	is "$name: all frames of both ways" "$frames" \
		"$(($(sed -n 's/.*"net0.rx":{"packets":\([0-9]*\).*/\1/p' "$TMP/stats") + $(sed -n 's/.*"net0.tx":{"packets":\([0-9]*\).*/\1/p' "$TMP/stats")))"
	is "$name: tcpdump reads them all" "$(tcpdump -nr "$TMP/capture" 2>"$TMP/err" | wc -l)" "$frames"
	check "$name: as Ethernet" grep -q 'link-type EN10MB' "$TMP/err"
	is "$name: five requests" "$(tcpdump -nr "$TMP/capture" 'icmp[0] == 8' 2>/dev/null | wc -l)" 5
	is "$name: five answers" "$(tcpdump -nr "$TMP/capture" 'icmp[0] == 0' 2>/dev/null | wc -l)" 5
	is "$name: in the order of their times" "$(tcpdump -ttnr "$TMP/capture" 2>/dev/null | cut -d' ' -f1 | sort -c 2>&1)" ''
	[ "$keys" ] || is "$name: a payload" "$(tcpdump -xnr "$TMP/capture" icmp 2>/dev/null | tr -d ' \n\t' | grep -o 6d696e69766d6d6d696e69766d6d | wc -l)" 10
	[ ! "$keys" ] || is "$name: no more than so much of each" \
		"$(tcpdump -enr "$TMP/capture" -x 2>/dev/null | awk '/^[0-9]/ { n = 0 } /^\t0x/ { n += NF - 1 } n > 30 { bad++ } END { print bad + 0 }')" 0
done
