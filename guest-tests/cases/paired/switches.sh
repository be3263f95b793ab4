# variants: minivmm-pci minivmm-mmio
# Traffic with each switch of the card off, alone; and with all.
tap 0 vnet_hdr
for keys in csum=off tso=off uso=off offload=off mrg=off event-idx=off indirect=off queue-size=32 impatient \
	offload=off,mrg=off,event-idx=off,indirect=off; do
	guest_start mode=irq
	check "$VARIANT $keys: 32 connections" "$crr" client $address --port 5001 --connections 32 --count 2000
	check "$VARIANT $keys: a stream to the guest" "$crr" client $address --netperf 12865 --test stream --count 10M
	check "$VARIANT $keys: a stream from the guest" "$crr" client $address --netperf 12865 --test maerts --count 10M
	guest_stop "$VARIANT $keys"
done
