# Sent to a running guest: the end is prompt and leaves nothing.
start '' --net tap1
console_has READY
kill -TERM "$vmm"
ends "$STATUS_SIGTERM"
! ip link show tap1 || fail 'tap1 is left'

# ---- guest ----
echo READY
sleep 1000
