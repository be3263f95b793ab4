# variants: mmio pci
tap 1
start '' --net "$(nic 1 transport="$VARIANT")"
console_has READY
ping -i 0.2 -c 3 -W 5 10.0.1.2 || fail 'the guest does not answer pings'
ping -i 0.2 -c 3 -W 5 -s 8000 10.0.1.2 || fail 'the guest does not answer large pings'
tell DONE
ends 0

# ---- guest ----
# Packets of one frame and of several both ways.
net 1
must ping -i 0.2 -c 3 -W 5 10.0.1.1
must ping -i 0.2 -c 3 -W 5 -s 8000 10.0.1.1
echo READY
hear DONE
