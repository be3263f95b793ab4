# variants: minivmm-pci minivmm-mmio
# The drop ledger on a real tap: hops are flooded until they drop, and what set out is lost by a cause or delivered, to the
# frame; by minivmm's accounts, the host's kernel's, and the guest's own.
tap 0 vnet_hdr
echo 1 >/proc/sys/net/ipv6/conf/tap0/disable_ipv6
mac=52:54:00:00:00:07
ip neigh replace $address lladdr $mac nud permanent dev tap0
stats=$TMP/stats

row() # row WAY KEY: from the last accounts
{
	sed -n "s/.*\"net0.$1\":{\(.*\)}.*/\1/p" "$stats" | tr ',' '\n' | sed -n "s/^ *\"$2\":\([0-9]*\)$/\1/p"
}

# ask: new accounts, once the card has done with all that came.
ask()
{
	local before last=
	for ((;;)); do
		before=$(grep -o '"uptime_us":[0-9]*' "$stats")
		kill -USR1 "$guest_pid"
		until grep -q '}$' "$stats" && [ "$(grep -o '"uptime_us":[0-9]*' "$stats")" != "$before" ]; do sleep 0.05; done
		[ "$last" != "$(row to_guest delivered) $(row from_guest delivered)" ] || break
		last="$(row to_guest delivered) $(row from_guest delivered)"
		sleep 0.3
	done
}

balanced() # balanced WAY: sent = what was lost + what waits + delivered, and nothing is unexplained
{
	local sum
	sum=$(sed -n "s/.*\"net0.$1\":{\(.*\)}.*/\1/p" "$stats" | tr ',' '\n' |
		awk -F'[": ]+' '$2 ~ /^lost_/ || $2 == "waiting" || $2 == "unread" || $2 == "delivered" { n += $3 } END { print n }')
	is "$VARIANT: $name: $1 balances" "$(row "$1" sent)" "$sum"
	is "$VARIANT: $name: $1, unexplained" "$(row "$1" unexplained)" 0
	is "$VARIANT: $name: $1, the host counts, too" "$(row "$1" host_counts)" 1
}

# phase NAME CAUSE FRAMES COMMAND...: sends so many frames to the guest, of which some are lost by that cause.
phase()
{
	local sent cause frames=$3 why=$2
	name=$1
	shift 3
	ask
	sent=$(row to_guest sent) cause=$(row to_guest "$why")
	"$@"
	ask
	is "$VARIANT: $name: frames that set out" $(($(row to_guest sent) - sent)) "$frames"
	check "$VARIANT: $name: $why" [ "$(row to_guest "$why")" -gt "$cause" ]
	balanced to_guest
	balanced from_guest
}

queue_full() # nobody reads the tap
{
	kill -STOP "$guest_pid"
	"$crr" flood $address --count 3000 --port 9
	kill -CONT "$guest_pid"
}

slow_qdisc()
{
	tc qdisc replace dev tap0 root tbf rate 400kbit burst 1600 limit 3000 || return
	"$crr" flood $address --count 1000 --port 9
	until tc -s qdisc show dev tap0 | grep -q 'backlog 0b 0p'; do sleep 0.1; done
	ask
	tc qdisc del dev tap0 root
}

interface_down() # under a stream from the guest, who goes on sending what is not acknowledged
{
	"$crr" client $address --port 19 --test maerts --seconds 20 --warmup 0 --timeout 30 >"$TMP/stream" 2>&1 &
	local stream=$!
	until ask && (($(row from_guest delivered) > 1000)); do sleep 0.1; done
	ip link set tap0 down
	until ask && (($(row from_guest lost_down) > 0)); do sleep 0.1; done
	ip link set tap0 up
	ip neigh replace $address lladdr $mac nud permanent dev tap0
	kill "$stream"
	wait "$stream"
}

ip link set tap0 txqueuelen 40
guest_run "$minivmm" --kernel "$build/guest.elf" --mem 128M --timeout 400s --stats "$stats" \
	--net "tap=tap0,mac=$mac,transport=${VARIANT#minivmm-}" --append "virtio_mmio.device=4K@0xfeb00000:5 mode=irq ip=$address"
: >"$stats"
phase 'tap queue' lost_queue_full 3000 queue_full
phase 'qdisc' lost_qdisc 1000 slow_qdisc
name='interface down'
interface_down
ask
check "$VARIANT: $name: lost_down" [ "$(row from_guest lost_down)" -gt 0 ]
balanced to_guest
balanced from_guest
guest_stop "$VARIANT"
name='at the end'
balanced to_guest
balanced from_guest
# What the kernel sends to a tap that nobody has open is lost, and no more of the ledger's.
is "$VARIANT: the kernel's own counts of the tap" "$(awk '$1 == "tap0:" { print $11, $3 }' /proc/net/dev)" \
	"$(($(row to_guest delivered) + $(row to_guest unread))) $(row from_guest delivered)"
is "$VARIANT: what the guest has is what it was given" $(($(counter rx_packets) + $(counter rx_bad_device))) "$(row to_guest delivered)"
is "$VARIANT: what the guest sent set out" "$(counter tx_packets)" "$(row from_guest sent)"
