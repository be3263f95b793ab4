# variants: mmio pci
# 10,000 connections to the guest and 1,000 from it, without one failure; by the other transport a fifth of that.
tap 1
count=10000
[ "$VARIANT" = pci ] || count=2000
background crr server
start "out=$((count / 10))" --net "$(nic 1 transport="$VARIANT")"
console_has READY
crr client 10.0.1.2 --count "$count" --connections 8 --timeout 60 || fail 'connections to the guest failed'
tell DONE
ends 0

# ---- guest ----
# Short connections out, then in.
net 1
must connections "$out"
crr server &
until netstat -ltn | grep -q ':5001 '; do
	usleep 100000
done
echo READY
hear DONE
