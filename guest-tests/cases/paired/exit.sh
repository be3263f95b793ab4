# variants: VMMS
# The status of the guest is the VMM's, of both images; what does not exist is a fault of its own.
guest 0 1 64 "case=exit status=0"
guest 1 1 64 "case=exit status=1"
# The other image: by Linux's 64-bit boot protocol, or through its own real-mode entry.
IMAGE=guest.bzImage guest 23 1 64 "case=exit status=23"
guest 100 1 64 "case=exit status=100"
guest 103 1 64 "case=exit" "wants status="
guest 103 1 64 "case=exit status=x" "wants status="
guest 103 1 64 "case=exit status=256" "wants status="
guest 103 1 64 "case=nothing" "no such case"
guest 102 1 64 "case=fault" "fault: vector 14"
case $VARIANT in
minivmm-*)
	guest 0 1 64 "case=reboot"
	guest 126 1 64 "case=crash"
	;;
*) guest 0 1 64 "case=crash" ;; # a peer may have no keyboard controller
esac
