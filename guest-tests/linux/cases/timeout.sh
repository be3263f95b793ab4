# minivmm makes the interface itself, and with it goes the interface.
start 'end how=wait' --timeout 15s --net tap1
await 10 'there is no tap1' ip link show tap1
ends 124 60
! ip link show tap1 || fail 'tap1 is left'
