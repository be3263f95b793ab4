# variants: VMMS
# A card on a stream socket, whose other end cuts what it sends anywhere and reads little at a time: every byte of the
# guest's services is right. Then that end is gone.
[[ $VARIANT == minivmm-* ]] || skip 'the card is of minivmm'
tap 0
backend=socket=$TMP/socket
head -c 3000000 /dev/urandom >"$TMP/random"

echo_udp()
{
	local text
	text=$(head -c 1472 /dev/zero | tr '\0' x)
	exec 8<>/dev/udp/$address/7
	printf %s "$text" >&8
	[ "$(timeout 60 dd bs=65536 count=1 status=none <&8)" = "$text" ]
}

gone()
{
	grep -q "net0: socket '.*' is gone; the guest's frames are dropped from now on" "$TMP/console"
}

"$build/wire" "$TMP/socket" tap0 cut 2>"$TMP/wire" &
wire=$!
await 'the socket is there' test -S "$TMP/socket"
guest_start ''
check "$VARIANT: ping" ping -q -c 20 -i 0.01 -w 20 $address
check "$VARIANT: echo over TCP" transfer
check "$VARIANT: echo over UDP" echo_udp
check "$VARIANT: connections" "$crr" client $address --test crr --count 200 --connections 20 --timeout 100
kill $wire
wait $wire
await 'minivmm has lost the socket' gone
is "$VARIANT: said once" "$(grep -c 'minivmm: ' "$TMP/console")" 1
is "$VARIANT: every frame was one" "$(cat "$TMP/wire")" ''
kill $guest_pid
wait $guest_pid
is "$VARIANT: SIGTERM" $? 143
