# variants: minivmm-pci minivmm-mmio
# Traffic by interrupts costs no exit to user space, whatever stands between: doorbells and acknowledgements end in the kernel,
# and registers are read without an exit. Also for a machine whose other devices sit elsewhere.
tap 0
stats=$TMP/stats

accesses() # to registers, that minivmm has served since the start
{
	: >"$stats"
	kill -USR1 $guest_pid
	until grep -q '}$' "$stats"; do sleep 0.1; done
	sed -n 's/.*"vcpu0":{\(.*\)}.*/\1/p' "$stats" | tr ',' '\n' | sed -n 's/^ *"mmio":\([0-9]*\)$/\1/p'
}

guest_run vmm "$VARIANT" 1 128 "mode=irq ip=$address"
check "$VARIANT: the first connection" "$crr" client $address --port 5001 --count 1 --timeout 60
before=$(accesses)
check "$VARIANT: requests" "$crr" client $address --port 7 --test rr --count 2000 --timeout 60
check "$VARIANT: connections" "$crr" client $address --port 5001 --connections 8 --count 1000 --timeout 60
check "$VARIANT: it was interrupted" [ "$("$crr" counters $address | sed -n 's/^interrupts=//p')" -gt 100 ]
is "$VARIANT: accesses to registers meanwhile" $(($(accesses) - before)) 0
guest_stop "$VARIANT"
