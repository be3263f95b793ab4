# minivmm makes the interface itself, and with it goes the interface.
start '' --timeout 15s --net tap1
await 'there is a tap1' ip link show tap1
ends 124
! ip link show tap1 || fail 'tap1 is left'

# ---- guest ----
sleep 1000
