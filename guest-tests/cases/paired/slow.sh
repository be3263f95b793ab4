# variants: minivmm-rtl8139
# The card from before virtio under more than it holds: it drops, nothing else does, and every frame is accounted for.
tap 0 vnet_hdr
stats=$TMP/stats

from_host() { # frames that the tap has given to minivmm
	awk -v tap="$tap:" '$1 == tap { print $11 }' /proc/net/dev
}

to_host() {
	awk -v tap="$tap:" '$1 == tap { print $3 }' /proc/net/dev
}

stat() { # stat GROUP NAME: of minivmm's accounts
	sed -n "s/.*\"$1\":{[^}]*\"$2\":\([0-9]*\).*/\1/p" "$stats"
}

sum_of_drops() { # sum_of_drops GROUP
	sed -n "s/.*\"$1\":{\([^}]*\)}.*/\1/p" "$stats" | tr , '\n' | awk -F: '/"drop_/ { sum += $2 } END { print sum + 0 }'
}

load() { # every request is answered, however often TCP repeats
	timeout 200 ab -q -s 60 -n 3000 -c 150 "http://$address/health" >"$TMP/ab" 2>&1 &&
		grep -q 'Complete requests: *3000' "$TMP/ab" && grep -q 'Failed requests: *0' "$TMP/ab"
}

flood() { # more at once than the ring's 64 buffers, twenty times over
	local i
	for ((i = 0; i < 20; i++)); do
		"$crr" client $address --test udp_stream --port 9 --block 1400 --count 2000000 || return
	done
}

guest_start mode=irq
check "$VARIANT: ab, 150 at once" load
check "$VARIANT: a flood" flood
check "$VARIANT: it still answers" ping -q -c 3 -i 0.01 -w 20 $address
guest_stop "$VARIANT"
positive "$VARIANT" rx_missed
is "$VARIANT: what the card says it missed is what minivmm dropped" "$(counter rx_missed)" "$(stat net0.rx drop_missed)"
is "$VARIANT: the tap's frames came in or are counted" "$(from_host)" \
	$(($(stat net0.rx packets) + $(sum_of_drops net0.rx)))
is "$VARIANT: what minivmm delivered the guest received" "$(stat net0.rx packets)" "$(counter rx_packets)"
is "$VARIANT: what the guest sent is what the tap received" "$(counter tx_packets)" "$(to_host)"
is "$VARIANT: and what minivmm sent" "$(stat net0.tx packets)" "$(to_host)"
